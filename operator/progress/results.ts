/** Results as they came over NATS, within bounds: who may publish a run's events must not be able to fill our memory. */

/** As JSON: what that becomes in memory takes many times its bytes. */
interface Kept {
  readonly json: Buffer;
  readonly order: number;
}

const mostBytes = 64 * 2 ** 20;

export class Results {
  readonly #mostBytes: number;
  /** By uid, then by stage; those that changed last are last. */
  readonly #kept = new Map<string, Map<string, Kept>>();
  #bytes = 0;

  constructor(bytes = mostBytes) {
    this.#mostBytes = bytes;
  }

  /** Undefined where none is kept. */
  get(uid: string, stage: string): unknown {
    const kept = this.#kept.get(uid)?.get(stage);
    return kept && JSON.parse(kept.json.toString());
  }

  has(uid: string, stage: string): boolean {
    return this.#kept.get(uid)?.has(stage) ?? false;
  }

  /** Of what came later it is higher; 0 where nothing is kept. */
  orderOf(uid: string, stage: string): number {
    return this.#kept.get(uid)?.get(stage)?.order ?? 0;
  }

  /** Where there is no more room, the resources that were silent for longest lose theirs: a pod's own word, or another try, has it. */
  set(uid: string, stage: string, { result, order }: { result: unknown; order: number }): void {
    const stages = this.#kept.get(uid) ?? new Map<string, Kept>();
    const json = Buffer.from(JSON.stringify(result ?? null));
    this.#bytes += json.length - (stages.get(stage)?.json.length ?? 0);
    stages.set(stage, { json, order });
    this.#kept.delete(uid);
    this.#kept.set(uid, stages);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#mostBytes) break;
      this.forget(oldest);
    }
  }

  forget(uid: string): void {
    for (const { json } of this.#kept.get(uid)?.values() ?? []) this.#bytes -= json.length;
    this.#kept.delete(uid);
  }
}
