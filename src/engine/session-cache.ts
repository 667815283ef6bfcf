// Which sessions stay ready: those that were used last, within a number of them and within bytes of the weights that they store.

/** How many stay: an emulator's layers may each have a shape of their own, and three graphs when they train. */
const sessionLimit = 96;
/**
 * How many of them keep the memory of their runs for the next one, which saves some 4 % of the time; a stage uses few graphs and few
 * batch shapes, but for layers of shapes of their own: those beyond give it back, so that memory is bounded by these and one run.
 */
const keepingLimit = 4;

/** A session that is to be made. */
export interface Planned<Session> {
  /** Bytes of the weights that it stores. */
  readonly stored: number;
  /** @param keepsMemory whether it keeps the memory of a run for the next one */
  make(keepsMemory: boolean): Promise<Session>;
}

/** One that is made, or being made, with the bytes of the weights that are stored in it. */
interface Kept<Session> {
  readonly made: Promise<Session>;
  readonly stored: number;
}

/** Sessions by key. */
export class SessionCache<Session> {
  readonly #memory: number;
  readonly #release: (session: Session) => Promise<void>;
  readonly #sessions = new Map<string, Kept<Session>>();
  /** The keys of those that keep their runs' memory. */
  readonly #keeping = new Set<string>();

  /** @param memory bytes of the weights that all of them may store */
  constructor(memory: number, release: (session: Session) => Promise<void>) {
    this.#memory = memory;
    this.#release = release;
  }

  /** The session under a key, made as `plan` says where there is none; others are released where there is no room. */
  async get(key: string, plan: () => Planned<Session>): Promise<Session> {
    let kept = this.#sessions.get(key);
    if (kept === undefined) {
      const keepsMemory = this.#keeping.size < keepingLimit;
      if (keepsMemory) this.#keeping.add(key);
      const { stored, make } = plan();
      const room = this.#evict(stored);
      kept = { made: room.then(() => make(keepsMemory)), stored };
    } else {
      this.#sessions.delete(key);
    }
    this.#sessions.set(key, kept);
    return await kept.made;
  }

  /** All of them, which are the caller's to release from then on. */
  async takeAll(): Promise<Session[]> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    this.#keeping.clear();
    return await Promise.all(sessions.map(({ made }) => made));
  }

  /** Gives up sessions that were used longest ago, where there are too many, or too many weights in them with some more bytes. */
  async #evict(more: number): Promise<void> {
    let stored = more;
    for (const kept of this.#sessions.values()) stored += kept.stored;
    const gone: Promise<Session>[] = [];
    for (const [key, kept] of this.#sessions) {
      const isFull = more > 0 && kept.stored > 0 && stored > this.#memory;
      if (this.#sessions.size < sessionLimit && !isFull) continue;
      stored -= kept.stored;
      this.#sessions.delete(key);
      this.#keeping.delete(key);
      gone.push(kept.made);
    }
    for (const made of gone) await this.#release(await made);
  }
}
