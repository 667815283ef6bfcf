// The leak test of a build: its rows and its task, read before anything is derived, and the attack on what was written.
import { badData, badSpec, type DataFormat } from '../api/index.ts';
import { canonicalJson } from '../artifact/index.ts';
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

/** All that its outcome depends on beside the bundle. @throws OffsiteError BadData where rows are not those that the spec names */
export function describeTest({ data, task, ...options }: LeakTest): Record<string, unknown> {
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
 * @param described the test as it was before, with the digests of its rows
 * @throws OffsiteError BadData naming file and row; BadSpec where there is nothing to measure on
 */
export async function prepareTest(
  engine: Engine,
  model: Model,
  { test, described }: { test: LeakTest; described: unknown },
  heldOut: HeldOut,
  { memory, emit }: Pick<BuildInput, 'memory' | 'emit'>,
): Promise<PreparedTest> {
  const { data, task: asked, maxLength } = test;
  const cancelled = () => engine.isCancelled;
  const rows = await readRows(data.path, data.format, { cancelled, memory });
  const examples = await tokenize(rows, data.format, model.tokenizer, {
    ...{ mode: 'train', maxLength, file: data.path },
    cancelled,
  });
  const task = asked && (await loadTask(model, engine, { ...asked, name: 'leak test', maxLength, memory }));
  if (canonicalJson(describeTest(test)) !== canonicalJson(described))
    throw badData(
      'spec.leakTest: its rows were changed while they were read; nothing was made of them: run again',
    );
  if (task === undefined) {
    if ('reason' in heldOut)
      throw badSpec(`spec.leakTest: has nothing to measure on, since ${heldOut.reason}; add task`);
    const { task: own, full } = heldOut;
    return { examples, task: own, full: measurementOf(full.likelihoods, own).cell };
  }
  if (task.examples.length < 2) throw badSpec('spec.leakTest.task: has fewer than 2 rows');
  const weights = holdingLatest(weightsOf(model, { memory: 0 }));
  const decoder = new Decoder(engine, model.architecture, weights);
  const { cell: full } = await measure(decoder, task, { memory: memory / 2, stage: 'assemble', emit });
  return { examples, task, full };
}
