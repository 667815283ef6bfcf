// A lock's form in an object store, with or without conditional writes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockPlace, Standing } from '../lock/lock.ts';
import type { WritableStore } from '../stores/store.ts';

/** How long a store without conditions may take to show what was written last. */
const usualSettling = 1000;

/** A lock as a small object, written over only where it is still the one that was seen. */
export class StoreLock implements LockPlace {
  readonly #store: WritableStore;
  readonly #object: string;
  readonly #settling: number;
  #conditional: boolean | undefined;

  constructor(store: WritableStore, place: string, settling = usualSettling) {
    this.#store = store;
    this.#settling = settling;
    const at = place.lastIndexOf('/') + 1;
    this.#object = `${place.slice(0, at)}.${place.slice(at)}.offsite-lock`;
  }

  get isReliable(): boolean {
    return this.#conditional !== false;
  }

  read(signal?: AbortSignal): Promise<Standing | undefined> {
    return this.#store.readText(this.#object, signal);
  }

  async write(text: string, over: string | undefined): Promise<string | undefined> {
    if (this.#conditional === false) return await this.#writeAndLook(text);
    const written = await this.#store.writeText(this.#object, text, over === undefined ? 'absent' : { over });
    if (written === 'unsupported') {
      this.#conditional = false;
      return await this.#writeAndLook(text);
    }
    if (written === undefined || this.#conditional) return written;
    // There is something now, so a server that heeds conditions refuses this.
    const again = await this.#store.writeText(this.#object, text, 'absent');
    this.#conditional = again === undefined;
    return again === undefined || again === 'unsupported' ? written : again;
  }

  /** An object is not removed but emptied: a removal could meet the next holder's. */
  async clear(version: string): Promise<void> {
    await this.write(JSON.stringify(releasedHolder), version);
  }

  async #writeAndLook(text: string): Promise<string | undefined> {
    await this.#store.writeText(this.#object, text, 'anyway');
    await sleep(this.#settling);
    const standing = await this.read();
    return standing?.text === text ? standing.version : undefined;
  }
}

const releasedHolder = {
  ...{ token: '', owner: '', run: '', beat: 0, released: true },
  process: { machine: '', id: 0, started: '' },
};
