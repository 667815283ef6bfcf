// Watching without NATS: status changes that kubectl tells of go to the terminal as events.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Condition, group, kinds, type Progress } from '../api/index.ts';
import type { Terminal } from '../progress/index.ts';
import type { WatchTarget } from './watch-target.ts';

/** The part of a resource that is shown. */
interface Shown {
  kind: string;
  metadata: { name: string; namespace?: string; uid?: string };
  status?: { phase?: string; conditions?: Condition[]; progress?: Progress };
}

const isOver = ({ status }: Shown) => status?.phase === 'Complete' || status?.phase === 'Failed';

/**
 * Shows the status of resources as it changes, by kubectl and its configuration, until `signal` is aborted or, where one
 * resource is watched, it is over.
 * @returns whether nothing that was seen has failed
 * @throws Error with what kubectl said
 */
export async function watchStatus(
  target: WatchTarget,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  const display = new StatusDisplay(terminal);
  const over = new AbortController();
  const kubectls = Object.values(kinds)
    .filter(({ kind }) => target.kind === undefined || target.kind === kind)
    .map(({ names }) =>
      followKubectl(names.plural, target, AbortSignal.any([signal, over.signal]), (resource) => {
        display.show(resource);
        if (target.kind !== undefined && target.name !== undefined && isOver(resource)) over.abort();
      }),
    );
  try {
    await Promise.all(kubectls);
  } finally {
    over.abort();
  }
  return !display.sawFailure;
}

/** Turns each new status into events; what was shown already is not shown again. */
class StatusDisplay {
  sawFailure = false;
  readonly #terminal: Terminal;
  readonly #shown = new Map<string, string>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(resource: Shown): void {
    const { kind, metadata, status } = resource;
    if (status === undefined) return;
    const key = `${kind}/${metadata.namespace}/${metadata.name}`;
    const { stage, progressPercentage, estimatedRemainingSeconds, metrics = [] } = status.progress ?? {};
    if (stage !== undefined && progressPercentage !== undefined && !isOver(resource)) {
      this.#once(`${key} progress`, status.progress, () =>
        this.#terminal.event(resource, {
          type: 'progress',
          stage,
          progressPercentage,
          ...(estimatedRemainingSeconds !== undefined && { estimatedRemainingSeconds }),
          metrics,
        }),
      );
    }
    if (isOver(resource)) {
      if (status.phase === 'Failed') this.sawFailure = true;
      this.#once(`${key} end`, [metadata.uid, status.phase, status.conditions], () =>
        this.#terminal.finished({ resource, status }),
      );
      return;
    }
    for (const { type, status: value, reason, message } of status.conditions ?? []) {
      if (value !== 'True') continue;
      this.#once(`${key} ${type}`, [reason, message], () =>
        this.#terminal.event(resource, { type: 'warning', reason, message }),
      );
    }
  }

  #once(what: string, value: unknown, show: () => void): void {
    const text = JSON.stringify(value);
    if (this.#shown.get(what) === text) return;
    this.#shown.set(what, text);
    show();
  }
}

async function followKubectl(
  plural: string,
  { name, namespace, allNamespaces }: WatchTarget,
  signal: AbortSignal,
  each: (resource: Shown) => void,
): Promise<void> {
  const scope = allNamespaces ? ['--all-namespaces'] : namespace ? ['--namespace', namespace] : [];
  const only = name === undefined ? [] : ['--field-selector', `metadata.name=${name}`];
  const args = [
    'get',
    `${plural}.${group}`,
    ...scope,
    ...only,
    '--output',
    'json',
    '--watch',
    '--output-watch-events',
  ];
  // The API server ends a watch now and then.
  while (!signal.aborted) {
    const kubectl = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = () => kubectl.kill();
    signal.addEventListener('abort', stop, { once: true });
    let told = '';
    kubectl.stderr.on('data', (chunk: Buffer) => {
      told += String(chunk);
    });
    // Listened for before the output is read: both may have ended by then.
    const ended = once(kubectl, 'close') as Promise<[number | null]>;
    ended.catch(() => undefined);
    try {
      for await (const { type, object } of watchEvents(kubectl.stdout)) if (type !== 'DELETED') each(object);
      const [code] = await ended;
      if (signal.aborted) return;
      if (code !== 0) throw new Error(`kubectl: ${told.trim() || `ended with code ${code}`}`);
    } catch (error) {
      if (signal.aborted) return;
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') throw error;
      throw new Error('there is no kubectl on PATH: install it, or give --nats URL');
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
    }
  }
}

/** What kubectl writes: a watch event a line. */
async function* watchEvents(stream: NodeJS.ReadableStream): AsyncGenerator<{ type: string; object: Shown }> {
  for await (const line of createInterface({ input: stream }))
    yield JSON.parse(line) as { type: string; object: Shown };
}
