// A distributed lock on a place: one run at a time works there, by heartbeats and conditional writes.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isGone, processMarkSchema, thisProcess } from './process-mark.ts';

/** What stands at a lock's place. */
export interface Standing {
  /** Another one as soon as anything else stands there. */
  readonly version: string;
  readonly text: string;
}

/** A place that a lock can be kept at: one that writes only over what it saw there. */
export interface LockPlace {
  read(signal?: AbortSignal): Promise<Standing | undefined>;
  /**
   * Writes where that version still stands, or where nothing does.
   * @returns its version; undefined where something else stands there by now
   */
  write(text: string, over: string | undefined): Promise<string | undefined>;
  /** Takes away what this process wrote. */
  clear(version: string): Promise<void>;
  /** Whether writes are conditional in truth; where they are not, two runs at once may both go on. */
  readonly isReliable: boolean;
}

const holderSchema = z.object({
  /** Of this holding alone. */
  token: z.string(),
  /** Whose work it is, in words. */
  owner: z.string(),
  /** Processes of one run follow each other: somebody else sees to it that there is one at a time. */
  run: z.string(),
  process: processMarkSchema,
  beat: z.int(),
  released: z.boolean().optional(),
});
type Holder = z.output<typeof holderSchema>;

/** Who has a place, as far as others are told. */
export interface OtherHolder {
  owner: string;
  processId: number;
}

export interface LockOptions {
  owner: string;
  /** Absent where nobody sees to it that processes follow each other. */
  run?: string | undefined;
  /** Whether to wait for the end of this one, who is at work; otherwise `refusal` is thrown. */
  waitsFor: (other: OtherHolder) => boolean;
  refusal: (other: OtherHolder) => Error;
  /** Told once that it has to wait. */
  waiting?: (other: OtherHolder) => void;
  /** Told once that a lock which nobody holds cannot be written, and is tried again. */
  retrying?: () => void;
  /** What is thrown where it still cannot after many tries, and as long as a dead holder is waited for. */
  unwritable: (tries: number, seconds: number) => Error;
  signal: AbortSignal;
  times?: LockTimes;
}

export interface LockTimes {
  /** Milliseconds after which a holder that gives no sign is taken for dead. */
  expiry: number;
  /** Between two signs of life, and between two looks. */
  beat: number;
  look: number;
}

export const lockTimes = (expiry: number): LockTimes => ({
  expiry,
  beat: expiry / 6,
  look: Math.min(2000, expiry / 10),
});

/** Nobody loses to others so often in a row without once seeing one of them hold the place. */
const mostRefused = 20;

/** Another run has the place by now: nothing more may be written there. */
export class TakenOver extends Error {
  constructor(owner: string) {
    super(`${owner} has taken the place over: this run stops, and writes nothing more there`);
    this.name = 'TakenOver';
  }
}

/**
 * Takes a place for this process alone, or waits for it. No clock is compared with another: a holder is alive while what it
 * writes changes under the eyes of who waits. One that is known to be dead, or to be followed by this one, is not waited for.
 * @throws what `refusal` or `unwritable` makes, the store's errors, AbortError
 */
export async function takeLock(place: LockPlace, options: LockOptions): Promise<Lock> {
  const { owner, run = '', signal, times = lockTimes(60_000) } = options;
  const mine: Holder = { token: randomUUID(), owner, run, process: thisProcess(), beat: 0 };
  let seen: (Standing & { at: number }) | undefined;
  let refused: { over: string | undefined; tries: number; since: number } | undefined;
  let told = false;
  /** Since when no look has found a holder in what stands there: a sign of life is half written for a moment, or for good. */
  let half: number | undefined;
  for (let changes = 0; ; ) {
    signal.throwIfAborted();
    const standing = await place.read(signal);
    // Somebody else was first: of that one nothing was seen yet.
    if (refused !== undefined && standing?.version !== refused.over) seen = undefined;
    const holder = standing && parsed(standing.text);
    half = standing === undefined || holder !== undefined ? undefined : (half ?? performance.now());
    // A write may have been done whose answer was lost.
    if (standing && holder?.token === mine.token) return new Lock(place, mine, standing.version, times);
    if (seen !== undefined && !isSame(standing, seen)) changes += 1;
    if (standing && !isSame(standing, seen)) seen = { ...standing, at: performance.now() };
    const silent = seen === undefined ? 0 : performance.now() - seen.at;
    const free = standing === undefined || (holder && isFree(holder, mine)) || silent >= times.expiry;
    if (free) {
      const version = await place.write(JSON.stringify(mine), standing?.version);
      if (version !== undefined) return new Lock(place, mine, version, times);
      const { tries, since } = refused ?? { tries: 0, since: performance.now() };
      refused = { over: standing?.version, tries: tries + 1, since };
      const waited = performance.now() - since;
      if (refused.tries >= mostRefused && waited >= times.expiry)
        throw options.unwritable(refused.tries, Math.round(waited / 1000));
      if (refused.tries === 2) options.retrying?.();
      await sleep(pauseAfter(refused.tries, times), undefined, { signal });
      continue;
    }
    refused = undefined;
    const other = { owner: holder?.owner || 'another run', processId: holder?.process.id ?? 0 };
    const isAlive = changes > 0 || (holder && isGone(holder.process) === false);
    // Twice as long: one that died while he wrote is silent before.
    const isKnown = half === undefined || performance.now() - half > 2 * times.expiry;
    if (isKnown && isAlive && !options.waitsFor(other)) throw options.refusal(other);
    if (isKnown && !told) options.waiting?.(other);
    told ||= isKnown;
    await sleep(times.look, undefined, { signal });
  }
}

/** Some stores tell no versions: then what is written there alone is a sign of life. */
const isSame = (standing: Standing | undefined, seen: Standing | undefined): boolean =>
  standing?.version === seen?.version && standing?.text === seen?.text;

/** Twice as long after each try, up to a look; never as long as another's who came at the same time. */
const pauseAfter = (tries: number, { look }: LockTimes): number =>
  Math.min(look, (look / 64) * 2 ** tries) * (0.5 + Math.random() / 2);

const isFree = (holder: Holder, mine: Holder): boolean =>
  holder.released === true ||
  (holder.run !== '' && holder.run === mine.run) ||
  isGone(holder.process) === true;

/** A place that this process has. Signs of life go out by themselves until it is released. */
export class Lock {
  readonly #place: LockPlace;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #holder: Holder;
  #version: string;
  #beating = Promise.resolve();

  constructor(place: LockPlace, holder: Holder, version: string, { beat }: LockTimes) {
    this.#place = place;
    this.#holder = holder;
    this.#version = version;
    this.#timer = setInterval(() => {
      this.#beating = this.#beating.then(() => this.#beat());
    }, beat).unref();
  }

  /** Aborted when another run is found to have the place. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get isReliable(): boolean {
    return this.#place.isReliable;
  }

  /** @throws TakenOver where another run has the place by now */
  async check(): Promise<void> {
    // A sign of life that is half written is nobody's: they come one after the other.
    const looking = this.#beating.then(() => this.#look());
    this.#beating = looking.catch(() => {});
    await looking;
  }

  async #look(): Promise<void> {
    const standing = await this.#place.read();
    const holder = standing && parsed(standing.text);
    if (holder?.token === this.#holder.token) return;
    const error = new TakenOver(holder?.owner || 'another run');
    this.#lost.abort(error);
    throw error;
  }

  /** Lets go. What cannot be let go of is found to be dead by the others. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    if (!this.#lost.signal.aborted) await this.#place.clear(this.#version).catch(() => {});
  }

  async #beat(): Promise<void> {
    if (this.#lost.signal.aborted) return;
    const next = { ...this.#holder, beat: this.#holder.beat + 1 };
    try {
      const version = await this.#place.write(JSON.stringify(next), this.#version);
      if (version === undefined) return await this.#find();
      this.#version = version;
      this.#holder = next;
    } catch {
      // A place that does not answer may answer the next time; before anything is written, check() asks again.
    }
  }

  /** A write may have been done whose answer was lost: then the place is still this one's. */
  async #find(): Promise<void> {
    const standing = await this.#place.read();
    const holder = standing && parsed(standing.text);
    if (standing !== undefined && holder?.token === this.#holder.token) this.#version = standing.version;
    else this.#lost.abort(new TakenOver(holder?.owner || 'another run'));
  }
}

/** What somebody else wrote, or has written half, is held by somebody. */
function parsed(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
