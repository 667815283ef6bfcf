// Percentage and remaining time of a stage, estimated from its recent pace.
import type { Emit, Metric } from './events.ts';

/** How long a step's duration counts in the estimate: the pace of the last minute or so decides. */
const memorySeconds = 60;
const betweenEvents = 500;

export interface Estimate {
  progressPercentage: number;
  /** Absent until a step was timed. */
  estimatedRemainingSeconds?: number;
}

/**
 * Percentage and remaining time from steps done. The pace is an average in which a step's weight fades with its age,
 * so that one slow step does not throw the estimate and a lasting change of pace shows within a minute.
 */
export class Estimator {
  readonly #total: number;
  readonly #now: () => number;
  #done: number;
  #last: number;
  #seconds = 0;
  #steps = 0;

  /**
   * @param total how many steps there are (1 or more)
   * @param done how many were done before this process started: they say nothing about its pace
   * @param now milliseconds of a monotonic clock
   */
  constructor(total: number, done = 0, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#done = done;
    this.#now = now;
    this.#last = now();
  }

  /** Counts `steps` more steps as done, over the time since the last call. */
  advance(steps: number): Estimate {
    const now = this.#now();
    const elapsed = (now - this.#last) / 1000;
    const fade = Math.exp(-elapsed / memorySeconds);
    this.#last = now;
    this.#seconds = this.#seconds * fade + elapsed;
    this.#steps = this.#steps * fade + steps;
    this.#done = Math.min(this.#total, this.#done + steps);
    return this.estimate();
  }

  estimate(): Estimate {
    const left = this.#total - this.#done;
    const estimate = { progressPercentage: Math.floor((100 * this.#done) / this.#total) };
    if (left === 0) return { ...estimate, estimatedRemainingSeconds: 0 };
    if (this.#steps === 0) return estimate;
    return { ...estimate, estimatedRemainingSeconds: Math.round((left * this.#seconds) / this.#steps) };
  }
}

/**
 * A counter for a stage's loop: call it with the steps just done and the newest metrics. It emits a progress event at most
 * every half second, and always for the last step.
 * @param done steps that were done before, when a stage goes on where it was
 */
export function progressOf(
  stage: string,
  total: number,
  emit: Emit,
  done = 0,
): (steps: number, metrics?: Metric[]) => void {
  const estimator = new Estimator(total, done);
  let last = Number.NEGATIVE_INFINITY;
  return (steps, metrics = []) => {
    const estimate = estimator.advance(steps);
    const now = performance.now();
    if (now - last < betweenEvents && estimate.progressPercentage < 100) return;
    last = now;
    emit({ type: 'progress', stage, ...estimate, metrics });
  };
}
