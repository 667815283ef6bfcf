// The publisher's queue: bounded, and without loss of a result.
import type { StageEvent } from '../events.ts';
import type { ResourceIdentity } from '../resource.ts';

export interface Waiting {
  resource: ResourceIdentity;
  event: StageEvent;
}

/**
 * Events that wait to be sent, in order. A stage's newer progress replaces the one that waits, and a warning that waits
 * already is not kept twice; so the queue is bounded by the stages and their distinct warnings, and no result is lost.
 */
export class EventQueue {
  readonly #waiting = new Map<string, Waiting>();
  #results = 0;

  push(resource: ResourceIdentity, event: StageEvent): void {
    const { namespace, name, uid } = resource.metadata;
    const key = JSON.stringify([namespace, resource.kind, name, uid, event.type, this.#tell(event)]);
    // The newest goes to the end: a bar must not stand before what happened earlier.
    if (event.type === 'progress') this.#waiting.delete(key);
    else if (this.#waiting.has(key)) return;
    this.#waiting.set(key, { resource, event });
  }

  take(): Waiting | undefined {
    const first = this.#waiting.entries().next();
    if (first.done) return undefined;
    const [key, waiting] = first.value;
    this.#waiting.delete(key);
    return waiting;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** What makes two events of one type and resource the same. */
  #tell(event: StageEvent): unknown {
    if (event.type === 'progress') return event.stage;
    if (event.type === 'warning') return [event.reason, event.message];
    return this.#results++;
  }
}
