// Scores of full model and emulator on held-out rows, so that the gap between them is known.
import { canonicalJson, inPlace, type Keeper, readKeptJson, sha256, writeWhole } from '../artifact/index.ts';
import type { Engine } from '../engine/index.ts';
import {
  type Cell,
  holdingLatest,
  likelihoodsOf,
  loadTask,
  type MetricName,
  measurementOf,
  type RowLikelihood,
  type TaskData,
} from '../evaluation/index.ts';
import { Decoder, type Model, type WeightSource, weightsOf } from '../model/index.ts';
import { type Emulator, emulatorWeights } from './bundle.ts';
import { keptAbility } from './disclosure.ts';
import type { BuildInput } from './probe/stage.ts';
import { type ProbeKey, statesDirectory } from './probe/states.ts';

/** How well full model and emulator do on rows after the probe's, or why that is not known. */
export type Evaluation =
  | { readonly reason: string }
  | {
      readonly metric: MetricName;
      readonly samples: number;
      readonly full: Cell;
      readonly emulator: Cell;
      /** CPL: the share of the full model's ability that the emulator keeps; absent where the model has none. */
      readonly cpl?: number;
    };

/** The rows after the probe's, with what the full model says of them; or why there is nothing to score. */
export type HeldOut =
  | { readonly reason: string }
  | { readonly task: TaskData; readonly full: readonly RowLikelihood[] };

type ScoreInput = BuildInput & { readonly limit: number };

/** Scores the full model on up to `limit` rows after the first `samples`. Its part is kept beside the pooled states. */
export async function scoreFull(
  engine: Engine,
  model: Model,
  key: ProbeKey,
  input: ScoreInput,
): Promise<HeldOut> {
  const { limit, data, probe } = input;
  if (limit === 0) return { reason: 'evaluation.limit is 0' };
  const { samples: skip, maxLength } = probe;
  const task = await loadTask(model, engine, { ...data, name: 'held out', skip, limit, maxLength });
  if (task.examples.length < 2)
    return {
      reason: `the probe set has ${task.examples.length} rows after the first ${skip}; scores need 2`,
    };
  if (task.batches.every(({ targets }) => targets.length === 0))
    return { reason: 'the rows after the probe are too short to score' };
  const path = `${statesDirectory(input.work, key)}.full-${keyOf(key, input)}.json`;
  const full = await keptResult(path, input.keeper ?? inPlace, () =>
    run(engine, model, weightsOf(model, { memory: 0 }), task, input),
  );
  return { task, full };
}

/** Scores an emulator on the rows that the full model was scored on. */
export async function scoreEmulator(
  engine: Engine,
  emulator: Emulator,
  heldOut: HeldOut,
  input: ScoreInput,
): Promise<Evaluation> {
  if ('reason' in heldOut) return heldOut;
  const { task, full } = heldOut;
  const weights = emulatorWeights(emulator, { memory: 0 });
  const own = await run(engine, emulator.model, weights, task, input);
  const cells = { full: measurementOf(full, task).cell, emulator: measurementOf(own, task).cell };
  const cpl = keptAbility(task.metric, { full: cells.full.value, emulator: cells.emulator.value });
  return { metric: task.metric, samples: full.length, ...cells, ...(cpl === undefined ? {} : { cpl }) };
}

/** One pass over the rows; each block's weights are read once. */
const run = (
  engine: Engine,
  { architecture }: Model,
  weights: WeightSource,
  task: TaskData,
  { memory, emit }: ScoreInput,
): Promise<RowLikelihood[]> =>
  likelihoodsOf(new Decoder(engine, architecture, holdingLatest(weights)), task, {
    memory: memory / 2,
    stage: 'assemble',
    emit,
  });

/** The same rows of the same model score the same, whatever the pooling. */
function keyOf(key: ProbeKey, { limit }: { limit: number }): string {
  return sha256(canonicalJson({ key, limit })).slice('sha256:'.length, 'sha256:'.length + 16);
}

async function keptResult(
  path: string,
  keeper: Keeper,
  compute: () => Promise<RowLikelihood[]>,
): Promise<RowLikelihood[]> {
  await keeper.pull(path, { exact: true });
  const kept = readKept(path);
  if (kept !== undefined) return kept;
  const result = await compute();
  try {
    writeWhole(path, canonicalJson(result));
  } catch (error) {
    // Another build may have written the same just now, by way of the same temporary file.
    if (readKept(path) === undefined) throw error;
  }
  await keeper.push(path, { exact: true });
  return result;
}

/** A damaged file is as good as none: it is computed again. */
function readKept(path: string): RowLikelihood[] | undefined {
  try {
    return readKeptJson(path) as RowLikelihood[];
  } catch {
    return undefined;
  }
}
