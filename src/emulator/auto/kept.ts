// What is known of candidates, kept beside the pooled states, so that a killed pod goes on and another budget asks nothing again.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { canonicalJson, type Keeper, readKeptJson, sha256, writeWhole } from '../../artifact/index.ts';

const measured = z.strictObject({
  bitsKept: z.strictObject({ value: z.number(), stderr: z.number().optional() }),
  agreement: z.number(),
  agreementAtStart: z.number(),
  agreementTrained: z.number(),
});

const keptSchema = z.record(z.string(), measured);

/** Figures by candidate. */
export type KeptFigures = Record<string, z.output<typeof measured>>;

/** The figures of candidates of one address: all that they depend on. */
export class KeptFile {
  readonly #path: string;
  readonly #keeper: Keeper;
  #figures: KeptFigures = {};

  private constructor(path: string, keeper: Keeper) {
    this.#path = path;
    this.#keeper = keeper;
  }

  static async open(work: string, address: unknown, keeper: Keeper): Promise<KeptFile> {
    const name = sha256(canonicalJson(address)).replace('sha256:', '');
    const kept = new KeptFile(join(work, `${name}.auto.json`), keeper);
    mkdirSync(work, { recursive: true });
    await keeper.pull(kept.#path, { exact: true });
    try {
      kept.#figures = keptSchema.parse(readKeptJson(kept.#path));
    } catch {
      // A damaged file is as good as none: what it had is measured again.
    }
    return kept;
  }

  of(candidate: string): KeptFigures[string] | undefined {
    return Object.hasOwn(this.#figures, candidate) ? this.#figures[candidate] : undefined;
  }

  async add(candidate: string, figures: KeptFigures[string]): Promise<void> {
    this.#figures[candidate] = figures;
    writeWhole(this.#path, canonicalJson(this.#figures));
    await this.#keeper.push(this.#path, { exact: true });
  }
}
