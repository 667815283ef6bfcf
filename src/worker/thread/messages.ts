// The message protocol between the compute thread and the main thread.
import type { Alike } from '../../artifact/index.ts';
import type { StageEvent } from '../../progress/index.ts';
import type { Failure, StageOutcome } from '../outcome.ts';

/** What the compute thread sends home. */
export type ThreadMessage =
  | { event: StageEvent }
  | { outcome: StageOutcome }
  | { ask: number; request: KeepRequest };

/** What the compute thread wants done by the thread that is free for it: a path brought over the network, the output's lock looked at. */
export type KeepRequest =
  | { what: 'pull' | 'push' | 'pushLater'; path: string; alike: Alike }
  | { what: 'held' }
  | { what: 'claim'; digest: string };

/** What it gets back. */
export interface Answer {
  ask: number;
  failure?: Failure;
}
