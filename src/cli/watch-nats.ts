// Watching over NATS: events of running stages go to the terminal as they come.
import { isKind, stagesOf } from '../api/index.ts';
import { type EventMessage, type StageEvent, type Terminal, watchEvents } from '../progress/index.ts';
import type { WatchTarget } from './watch-target.ts';

export interface NatsSource {
  url: string;
  credentials?: string | undefined;
}

/**
 * Shows what is told over NATS, until `signal` is aborted or, where one resource is watched, its last stage's result is there.
 * @throws OffsiteError BadSpec
 */
export async function watchNats(
  { url, credentials }: NatsSource,
  target: WatchTarget,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { kind, name, namespace } = target;
  for await (const message of watchEvents(url, { kind, name, namespace }, { credentials, signal })) {
    terminal.event(resourceOf(message), eventOf(message));
    if (kind !== undefined && name !== undefined && isLast(message)) return;
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

const isLast = ({ kind, event }: EventMessage) =>
  event.type === 'result' && isKind(kind) && stagesOf(kind).at(-1) === event.stage;
