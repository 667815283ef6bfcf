// How much of the terminal one resource may take: whoever runs it names its stages and words its warnings.
import { isStageOf } from '../../api/index.ts';
import type { StageEvent } from '../events.ts';
import { keyOf, type ResourceIdentity } from '../resource.ts';

/** A stage that 64 pods share, each of which first fetches, has the most. */
const mostStages = 144;
/** Warnings that may come at once; then one a second. */
const mostWarnings = 32;
const millisecondsEach = 1000;
/** Of so many resources at a time it is known what they have shown; the one that was heard longest ago is forgotten. */
const mostResources = 1024;

interface Taken {
  readonly stages: Set<string>;
  /** When the last warning's second is over; those of a burst are counted beyond now. */
  warnedUntil: number;
  readonly told: Set<StageEvent['type']>;
}

export class Allowance {
  readonly #now: () => number;
  readonly #resources = new Map<string, Taken>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @returns whether this event may be shown; a text, to be shown in its place, with the first that may not */
  admits(resource: ResourceIdentity, event: StageEvent): boolean | string {
    const taken = this.#takenBy(keyOf(resource));
    if (event.type === 'warning') {
      if (this.#admitsWarning(taken)) return true;
      return once(taken, 'warning', `more than ${mostWarnings} warnings at once: the rest is left out`);
    }
    if (taken.stages.has(event.stage)) return true;
    if (taken.stages.size >= mostStages && !isStageOf(resource.kind, event.stage))
      return once(taken, 'progress', `more than ${mostStages} stages: the others are left out`);
    taken.stages.add(event.stage);
    return true;
  }

  #admitsWarning(taken: Taken): boolean {
    const now = this.#now();
    const until = Math.max(taken.warnedUntil, now) + millisecondsEach;
    if (until - now > mostWarnings * millisecondsEach) return false;
    taken.warnedUntil = until;
    return true;
  }

  #takenBy(key: string): Taken {
    const known = this.#resources.get(key);
    const taken = known ?? { stages: new Set(), warnedUntil: Number.NEGATIVE_INFINITY, told: new Set() };
    this.#resources.delete(key);
    this.#resources.set(key, taken);
    if (this.#resources.size > mostResources) this.#resources.delete(this.#resources.keys().next().value!);
    return taken;
  }
}

function once({ told }: Taken, what: StageEvent['type'], text: string): false | string {
  if (told.has(what)) return false;
  told.add(what);
  return text;
}
