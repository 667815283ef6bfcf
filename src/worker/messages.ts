import type { Alike } from '../artifact/index.ts';
import type { StageEvent } from '../progress/index.ts';
import type { Failure, StageOutcome } from './outcome.ts';

/** What the compute thread sends home. */
export type ThreadMessage =
  | { event: StageEvent }
  | { outcome: StageOutcome }
  | { ask: number; request: KeepRequest };

/** A path that the compute thread wants brought, over the network, by the thread that is free for it. */
export interface KeepRequest {
  what: 'pull' | 'push' | 'pushLater';
  path: string;
  alike: Alike;
}

/** What it gets back. */
export interface Answer {
  ask: number;
  failure?: Failure;
}
