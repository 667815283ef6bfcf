// Persistence of an analysis under way, so that a restart measures nothing twice.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { PartyVerdict } from '../../api/index.ts';
import { canonicalJson, type Keeper, readKept, sha256, writeWhole } from '../../artifact/index.ts';
import type { MeasuredTask } from '../measured.ts';
import { type AnalysisRecord, analysisSchema, type Figures, figuresList } from './record.ts';

/** A task's plug-in without one of several adapters. */
export type Without = NonNullable<PartyVerdict['without']>[number];

const schema = z.object({
  /** Of what is plugged in, how, and of the rows. */
  identity: z.string(),
  evaluation: z.array(z.custom<MeasuredTask>()).optional(),
  /** By the variant's key. */
  measured: z.record(z.string(), figuresList),
  /** By the digest of the adapter that was left out. */
  without: z.record(z.string(), z.array(z.custom<Without>())).optional(),
  /** Once all is measured. */
  analysis: analysisSchema.optional(),
});

/** Where unfinished work of a PlugIn with analyses is kept, and what they found in the end. */
export const analysisFile = (work: string): string => join(work, 'analysis.json');

/** What a pod that died had measured already. It is written whole after each evaluation, and so is never lost. */
export class KeptWork {
  readonly #file: string;
  readonly #keeper: Keeper;
  readonly #check: () => void;
  #kept: z.output<typeof schema>;

  private constructor(file: string, keeper: Keeper, check: () => void, kept: z.output<typeof schema>) {
    this.#file = file;
    this.#keeper = keeper;
    this.#check = check;
    this.#kept = kept;
  }

  /**
   * @param work the resource's own directory
   * @param of what the work depends on; what is kept of other work counts as none
   * @param check throws where what was measured is not to be kept
   */
  static async open(
    work: string,
    of: unknown,
    keeper: Keeper,
    check: () => void = () => {},
  ): Promise<KeptWork> {
    const file = analysisFile(work);
    const identity = sha256(canonicalJson(of));
    await keeper.pull(file, { exact: true });
    const kept = read(file);
    const own = kept?.identity === identity ? kept : { identity, measured: {} };
    return new KeptWork(file, keeper, check, own);
  }

  async evaluation(measure: () => Promise<MeasuredTask[]>): Promise<MeasuredTask[]> {
    const { evaluation = await measure() } = this.#kept;
    if (this.#kept.evaluation === undefined) await this.#keep({ evaluation });
    return evaluation;
  }

  figures(key: string): Figures[] | undefined {
    return this.#kept.measured[key];
  }

  async addFigures(key: string, figures: Figures[]): Promise<void> {
    await this.#keep({ measured: { ...this.#kept.measured, [key]: figures } });
  }

  without(digest: string): Without[] | undefined {
    return this.#kept.without?.[digest];
  }

  async addWithout(digest: string, found: Without[]): Promise<void> {
    await this.#keep({ without: { ...this.#kept.without, [digest]: found } });
  }

  async finish(analysis: AnalysisRecord): Promise<void> {
    if (canonicalJson(this.#kept.analysis ?? null) !== canonicalJson(analysis))
      await this.#keep({ analysis });
  }

  async #keep(more: Partial<z.output<typeof schema>>): Promise<void> {
    await this.#keeper.held();
    this.#check();
    this.#kept = { ...this.#kept, ...more };
    mkdirSync(dirname(this.#file), { recursive: true });
    writeWhole(this.#file, canonicalJson(this.#kept));
    this.#keeper.pushLater(this.#file, { exact: true });
  }
}

/** What the analyses of a resource found; undefined where there are none, or none that are finished. */
export function readAnalysis(work: string): AnalysisRecord | undefined {
  return read(analysisFile(work))?.analysis;
}

/** A damaged file is as good as none: it is measured again. */
const read = (file: string): z.output<typeof schema> | undefined => readKept(schema, file);
