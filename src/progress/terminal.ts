import type { StageEvent } from './events.ts';

/** What names the resource that an event is about. */
export interface ResourceIdentity {
  kind: string;
  metadata: { name: string; namespace?: string | undefined; uid?: string | undefined };
}

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
