/** Results as they came over NATS, within bounds: who may publish a run's events must not be able to fill our memory. */

export interface Kept {
  readonly result: unknown;
  /** Of what came later it is higher. */
  readonly order: number;
}

const mostBytes = 64 * 2 ** 20;

export class Results {
  readonly #mostBytes: number;
  /** By uid, then by stage; those that changed last are last. */
  readonly #kept = new Map<string, Map<string, Kept & { readonly bytes: number }>>();
  #bytes = 0;

  constructor(bytes = mostBytes) {
    this.#mostBytes = bytes;
  }

  get(uid: string, stage: string): Kept | undefined {
    return this.#kept.get(uid)?.get(stage);
  }

  /** Where there is no more room, the resources that were silent for longest lose theirs: a pod's own word, or another try, has it. */
  set(uid: string, stage: string, kept: Kept): void {
    const stages = this.#kept.get(uid) ?? new Map();
    const bytes = JSON.stringify(kept.result ?? null).length;
    this.#bytes += bytes - (stages.get(stage)?.bytes ?? 0);
    stages.set(stage, { ...kept, bytes });
    this.#kept.delete(uid);
    this.#kept.set(uid, stages);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#mostBytes) break;
      this.forget(oldest);
    }
  }

  forget(uid: string): void {
    for (const { bytes } of this.#kept.get(uid)?.values() ?? []) this.#bytes -= bytes;
    this.#kept.delete(uid);
  }
}
