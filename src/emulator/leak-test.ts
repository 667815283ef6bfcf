// The leak test of a build: its rows and its task, read before anything is derived, and the attack on what was written.
import { badSpec, type DataFormat } from '../api/index.ts';
import { dataDigest, type Example, readRows, tokenize } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import {
  type Cell,
  holdingLatest,
  loadTask,
  measure,
  measurementOf,
  type TaskData,
} from '../evaluation/index.ts';
import { Decoder, type Model, weightsOf } from '../model/index.ts';
import type { HeldOut } from './evaluate.ts';
import type { AttackOptions } from './leak/attack.ts';
import type { BuildInput } from './probe/stage.ts';

interface Rows {
  readonly path: string;
  readonly format: DataFormat;
  /** What they must be, where the spec says it. */
  readonly digest?: string | undefined;
}

export interface LeakTest extends Omit<AttackOptions, 'learningRate'> {
  readonly data: Rows;
  /** What is measured on; the rows that score model and emulator when absent. */
  readonly task?: (Rows & { readonly limit?: number | undefined }) | undefined;
  /** A decimal as the spec has it. */
  readonly learningRate: string;
  readonly maxLength: number;
}

/** What the attack is made with. */
export interface PreparedTest {
  readonly examples: readonly Example[];
  readonly task: TaskData;
  readonly full: Cell;
}

/** The test as a bundle's work has it: rows by their digests, without where they lie. */
export interface DescribedTest extends Record<string, unknown> {
  readonly data: { readonly format: DataFormat; readonly digest: string };
  readonly task?: { readonly digest: string };
}

/** All that its outcome depends on beside the bundle. @throws OffsiteError BadData where rows are not those that the spec names */
export function describeTest({ data, task, ...options }: LeakTest): DescribedTest {
  return {
    ...options,
    data: { format: data.format, digest: dataDigest(data.path, 'spec.leakTest.data', data.digest) },
    ...(task && {
      task: {
        ...{ format: task.format, ...(task.limit === undefined ? {} : { limit: task.limit }) },
        digest: dataDigest(task.path, 'spec.leakTest.task.data', task.digest),
      },
    }),
  };
}

/**
 * Reads the rows, and measures the full model on the task.
 * @param described the test as it was before: only rows of its digests are read
 * @throws OffsiteError BadData naming file and row; BadSpec where there is nothing to measure on
 */
export async function prepareTest(
  engine: Engine,
  model: Model,
  { test, described }: { test: LeakTest; described: DescribedTest },
  heldOut: HeldOut,
  { memory, emit }: Pick<BuildInput, 'memory' | 'emit'>,
): Promise<PreparedTest> {
  const { data, task: asked, maxLength } = test;
  const cancelled = () => engine.isCancelled;
  const { digest } = described.data;
  const rows = await readRows(data.path, data.format, { digest, cancelled, memory });
  const examples = await tokenize(rows, data.format, model.tokenizer, {
    ...{ mode: 'train', maxLength, file: data.path, positions: model.architecture.positions },
    cancelled,
  });
  const task =
    asked &&
    (await loadTask(model, engine, {
      ...{ ...asked, name: 'leak test', digest: described.task?.digest },
      ...{ maxLength, memory, byTiles: false },
    }));
  if (task === undefined) {
    if ('reason' in heldOut)
      throw badSpec(`spec.leakTest: has nothing to measure on, since ${heldOut.reason}; add task`);
    const { task: own, full } = heldOut;
    return { examples, task: own, full: measurementOf(full.likelihoods, own).cell };
  }
  if (task.examples.length < 2)
    throw badSpec('spec.leakTest.task: has fewer than 2 rows with a token to predict');
  const weights = holdingLatest(weightsOf(model, { memory: 0 }));
  const decoder = new Decoder(engine, model.architecture, weights);
  const { cell: full } = await measure(decoder, task, { memory: memory / 2, stage: 'assemble', emit });
  return { examples, task, full };
}
