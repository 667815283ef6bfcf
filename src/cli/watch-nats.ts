// Watching over NATS: events of running stages go to the terminal as they come.
import { printable } from '../api/index.ts';
import { type EventMessage, type StageEvent, type Terminal, watchEvents } from '../progress/index.ts';
import type { WatchTarget } from './watch-target.ts';
import { WatchedRuns } from './watched-runs.ts';

export interface NatsSource {
  url: string;
  credentials?: string | undefined;
}

/** For how long nothing more may come once a resource has ended, in ms: what the stream keeps comes at once, an earlier run's first. */
const settling = 1000;

/**
 * Shows what is told over NATS, until `signal` is aborted or, where one resource is watched, the last stage's result of the newest run
 * of each namespace that was heard of is there.
 * @throws OffsiteError BadSpec
 */
export async function watchNats(
  { url, credentials }: NatsSource,
  target: WatchTarget,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { kind, name, namespace } = target;
  const isOne = kind !== undefined && name !== undefined;
  const runs = new WatchedRuns();
  const ended = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const until = AbortSignal.any([signal, ended.signal]);
  const told = new Set<string>();
  const failed = (code: string) => {
    if (!told.has(code)) console.error(`NATS cannot be heard (${printable(code)}); trying again`);
    told.add(code);
  };
  try {
    for await (const message of watchEvents(
      url,
      { kind, name, namespace },
      { credentials, signal: until, failed },
    )) {
      terminal.event(resourceOf(message), eventOf(message));
      if (!isOne) continue;
      runs.hear(message);
      clearTimeout(timer);
      if (runs.haveEnded) timer = setTimeout(() => ended.abort(), settling);
    }
  } finally {
    clearTimeout(timer);
  }
}

const resourceOf = ({ kind, name, namespace, uid }: EventMessage) => ({
  kind,
  metadata: { name, namespace, uid },
});

/** Each of several pods that share a stage has a bar of its own. */
function eventOf({ event, shard }: EventMessage): StageEvent {
  if (event.type === 'warning' || shard === undefined || shard.count === 1) return event;
  return { ...event, stage: `${event.stage} ${shard.index + 1}/${shard.count}` };
}
