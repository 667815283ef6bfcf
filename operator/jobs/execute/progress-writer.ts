/** Writes status.progress: the latest of each resource at most every 2 s, and 20 writes a second in all. */

import { apiVersion, type Kind, kinds, type Progress } from '../../../src/api/index.ts';
import type { RunAddress } from '../../../src/progress/index.ts';
import {
  type ApiClient,
  ApiError,
  backoffAfter,
  isConflict,
  isNotFound,
  type Log,
  operatorLog,
  RateLimit,
  type ResourceType,
  toldOf,
} from '../../runtime/index.ts';
import type { Reports } from '../reports.ts';
import { isRefusal } from './refusal.ts';

export const progressManager = 'offsite-progress';

export interface ProgressWriterOptions {
  readonly client: Pick<ApiClient, 'applyStatus'>;
  readonly reports: Pick<Reports, 'progressOf'>;
  readonly typeOf: (kind: Kind) => ResourceType;
  /** The present attempt of the resource of this uid; undefined where it is gone. Reports about others are ignored. */
  readonly attemptOf: (subject: RunAddress) => number | undefined;
  /** Told of each write. */
  readonly wrote?: (kind: string) => void;
  readonly eachMilliseconds?: number;
  readonly perSecond?: number;
  readonly log?: Log;
}

interface Due {
  readonly subject: RunAddress;
  /** performance.now() */
  readonly from: number;
  /** Whether what is there is taken away. */
  readonly clear?: boolean;
}

const defaults = { each: 2000, perSecond: 20 } as const;
/** Between two tries of what the API server refuses for good: a right may be given later, a newer value be taken. */
const longestPause = 300_000;

export class ProgressWriter {
  readonly #options: ProgressWriterOptions;
  readonly #limit: RateLimit;
  readonly #log: Log;
  /** What is to be written, in the order in which it was marked, by uid; with the time from which it may be. */
  readonly #due = new Map<string, Due>();
  readonly #written = new Map<string, number>();
  /** By uid: refusals in a row, and until when (performance.now()) nothing is tried after the last. */
  readonly #refused = new Map<string, { times: number; until: number }>();
  #wake = () => {};

  constructor(options: ProgressWriterOptions) {
    this.#options = options;
    this.#log = options.log ?? operatorLog;
    const perSecond = options.perSecond ?? defaults.perSecond;
    this.#limit = new RateLimit({ perSecond, burst: perSecond });
  }

  /** There is something new about this resource. Marks between two writes become one. */
  mark(subject: RunAddress): void {
    if (this.#due.has(subject.uid)) return;
    this.#due.set(subject.uid, { subject, from: this.#earliestFor(subject.uid) });
    this.#wake();
  }

  /** Another attempt begins: what an earlier one reported is no longer progress. */
  clear(subject: RunAddress): void {
    const { until = 0 } = this.#refused.get(subject.uid) ?? {};
    this.#due.set(subject.uid, { subject, from: Math.max(until, performance.now()), clear: true });
    this.#wake();
  }

  forget(uid: string): void {
    this.#due.delete(uid);
    this.#written.delete(uid);
    this.#refused.delete(uid);
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#wake();
    signal.addEventListener('abort', stop);
    while (!signal.aborted) {
      const next = this.#earliest();
      const wait = next === undefined ? undefined : next.from - performance.now();
      if (next === undefined || (wait as number) > 0) {
        await this.#sleep(wait);
        continue;
      }
      this.#due.delete(next.subject.uid);
      await this.#limit.take(signal);
      if (!signal.aborted) await (next.clear ? this.#apply(next, {}) : this.#write(next));
    }
    signal.removeEventListener('abort', stop);
  }

  /** Milliseconds between two writes about one resource. */
  get #each(): number {
    return this.#options.eachMilliseconds ?? defaults.each;
  }

  #earliestFor(uid: string): number {
    const written = this.#written.get(uid) ?? Number.NEGATIVE_INFINITY;
    return Math.max(written + this.#each, this.#refused.get(uid)?.until ?? 0, performance.now());
  }

  #earliest(): Due | undefined {
    let earliest: Due | undefined;
    for (const due of this.#due.values()) {
      if (earliest === undefined || due.from < earliest.from) earliest = due;
    }
    return earliest;
  }

  async #sleep(milliseconds: number | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (milliseconds !== undefined) timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
  }

  async #write(due: Due): Promise<void> {
    const { subject } = due;
    const { reports, attemptOf } = this.#options;
    const attempt = attemptOf(subject);
    const progress = attempt === undefined ? undefined : reports.progressOf(subject.uid, attempt);
    if (progress === undefined || !isRight(progress, subject.kind)) return;
    this.#written.set(subject.uid, performance.now());
    await this.#apply(due, { progress: { lastUpdatedTime: new Date().toISOString(), ...progress } });
  }

  async #apply(due: Due, status: object): Promise<void> {
    const { kind, namespace, name, uid } = due.subject;
    const { client, typeOf, wrote } = this.#options;
    const body = { apiVersion, kind, metadata: { name, namespace, uid }, status };
    try {
      await client.applyStatus(typeOf(kind as Kind), body, { fieldManager: progressManager, force: true });
      this.#refused.delete(uid);
      wrote?.(kind);
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) this.forget(uid);
      else if (error instanceof ApiError) {
        this.#log.warn({ kind, namespace, name, ...toldOf(error) }, 'progress was not written');
        if (isRefusal(error)) this.#refuse(uid);
        else this.#refused.delete(uid);
        this.#tryAgain(due);
      } else throw error;
    }
  }

  /** The same is refused again, and again: each time the pause is twice as long. */
  #refuse(uid: string): void {
    const times = (this.#refused.get(uid)?.times ?? 0) + 1;
    const pause = backoffAfter(times, { first: this.#each, longest: longestPause });
    this.#refused.set(uid, { times, until: performance.now() + pause });
  }

  /** What is newer by now is written in its place; where the last was refused, as late. */
  #tryAgain(due: Due): void {
    const { uid } = due.subject;
    const until = this.#refused.get(uid)?.until;
    const newer = this.#due.get(uid);
    if (newer === undefined) this.#due.set(uid, { ...due, from: until ?? performance.now() + this.#each });
    else if (until !== undefined) this.#due.set(uid, { ...newer, from: Math.max(until, newer.from) });
  }
}

/** What came over the network is written only if it is what the status's schema says. */
const isRight = (progress: Progress, kind: string): boolean =>
  Object.hasOwn(kinds, kind) && kinds[kind as Kind].status.safeParse({ progress }).success;
