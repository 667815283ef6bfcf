import { metricsOf } from '../api/index.ts';
import { canonicalJson, inPlace, type Keeper, readKeptJson, sha256, writeWhole } from '../artifact/index.ts';
import { type Example, readRows, tokenize } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import {
  type Cell,
  cellOf,
  holdingLatest,
  type MetricName,
  packForModel,
  type RowLikelihood,
  rowScores,
  scoreRows,
} from '../evaluation/index.ts';
import { Decoder, type Model, type WeightSource, weightsOf } from '../model/index.ts';
import { emulatorWeights } from './bundle.ts';
import { keptAbility } from './disclosure.ts';
import type { Plan } from './plan/plan.ts';
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

/** Scores both on up to `limit` rows after the first `samples`. The full model's part is kept beside the pooled states. */
export async function evaluateEmulator(
  engine: Engine,
  model: Model,
  plan: Plan,
  key: ProbeKey,
  input: BuildInput & { readonly limit: number },
): Promise<Evaluation> {
  if (input.limit === 0) return { reason: 'evaluation.limit is 0' };
  const examples = await heldOut(model, engine, input);
  if (examples.length < 2)
    return {
      reason: `the probe set has ${examples.length} rows after the first ${input.probe.samples}; scores need 2`,
    };
  const batches = packForModel(examples, model.architecture);
  if (batches.every(({ targets }) => targets.length === 0))
    return { reason: 'the rows after the probe are too short to score' };

  const [metric] = metricsOf[input.data.format];
  const run = (weights: WeightSource) =>
    scoreRows(new Decoder(engine, model.architecture, holdingLatest(weights)), batches, {
      memory: input.memory / 2,
      stage: 'assemble',
      emit: input.emit,
      greedy: metric === 'exact_match',
    });
  const path = `${statesDirectory(input.work, key)}.full-${keyOf(key, input)}.json`;
  const full = await keptResult(path, input.keeper ?? inPlace, () => run(weightsOf(model, { memory: 0 })));
  const emulator = await run(emulatorWeights(model, plan, { memory: 0 }));

  const cell = (result: RowLikelihood[]) => cellOf(rowScores(result, examples, metric), metric);
  const cells = { full: cell(full), emulator: cell(emulator) };
  const cpl = keptAbility(metric, { full: cells.full.value, emulator: cells.emulator.value });
  return { metric, samples: full.length, ...cells, ...(cpl === undefined ? {} : { cpl }) };
}

async function heldOut(
  model: Model,
  engine: Engine,
  { data, probe: { samples, maxLength }, limit }: BuildInput & { limit: number },
): Promise<Example[]> {
  const rows = await readRows(data.path, data.format, { limit: samples + limit });
  return tokenize(rows.slice(samples), data.format, model.tokenizer, {
    maxLength,
    mode: 'score',
    file: data.path,
    before: samples,
    cancelled: () => engine.isCancelled,
  });
}

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
