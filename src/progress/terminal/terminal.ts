// The interface of all displays of progress.
import type { StageEvent } from '../events.ts';
import type { ResourceIdentity } from '../resource.ts';

/** A resource that has ended, with what a reader must know of its status. */
export interface FinishedResource {
  resource: ResourceIdentity;
  status: {
    phase?: string | undefined;
    conditions?: readonly { type: string; status: string; reason: string; message: string }[] | undefined;
  };
}

/** Shows the events of a run to whoever started it. */
export interface Terminal {
  event(resource: ResourceIdentity, event: StageEvent): void;
  finished(finished: FinishedResource): void;
  /** Draws what is left and gives the terminal back; call it also when the run threw. */
  close(): void;
}
