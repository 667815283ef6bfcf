// Scores of full model and emulator on held-out rows, so that the gap between them is known.
import { canonicalJson, inPlace, sha256 } from '../artifact/index.ts';
import type { Engine } from '../engine/index.ts';
import {
  type Cell,
  holdingLatest,
  likelihoodsOf,
  loadTask,
  type MetricName,
  measurementOf,
  type TaskData,
} from '../evaluation/index.ts';
import { Decoder, type Model, type WeightSource, weightsOf } from '../model/index.ts';
import { type Emulator, emulatorWeights } from './bundle.ts';
import { type Heard, isSaid, keptHeard } from './heard.ts';
import { keptAbility } from './leak/ability.ts';
import { randomControl } from './leak/control.ts';
import { type RowLeak, rowLeak } from './leak/leak.ts';
import { lossTokens, unigramOf } from './leak/unigram.ts';
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
  | {
      readonly task: TaskData;
      readonly full: Heard;
      /** Of the file of rows, the probe's among them. */
      readonly digest: string;
    };

type ScoreInput = BuildInput & {
  readonly limit: number;
  readonly leak?: boolean | undefined;
  /** What trains the emulator on other rows and measures it on these; nothing when absent. */
  readonly leakTest?: object | undefined;
};

/** Scores the full model on up to `limit` rows after the first `samples`. Its part is kept beside the pooled states. */
export async function scoreFull(
  engine: Engine,
  model: Model,
  key: ProbeKey,
  input: ScoreInput,
): Promise<HeldOut> {
  const { limit, data, probe, memory } = input;
  if (limit === 0) return { reason: 'evaluation.limit is 0' };
  const { samples: skip, maxLength } = probe;
  const task = await loadTask(model, engine, {
    ...{ ...data, name: 'held out', digest: key.data },
    ...{ skip, mayHaveNone: true, limit, maxLength, memory, byTiles: input.leakTest === undefined },
  });
  const rows = task.examples.length;
  if (rows < 2)
    return {
      reason: `the probe set has ${rows} rows with a token to predict after the first ${skip}; scores need 2`,
    };
  const path = `${statesDirectory(input.work, key)}.full-${keyOf(key, input)}.json`;
  const compute = () => run(engine, model, weightsOf(model, { memory: 0 }), task, input);
  const kept = { path, keeper: input.keeper ?? inPlace, ...(input.leak && { targets: targetsOf(task) }) };
  return { task, full: await keptHeard(kept, compute), digest: key.data };
}

/** Scores an emulator on the rows that the full model was scored on. */
export async function scoreEmulator(
  engine: Engine,
  emulator: Emulator,
  heldOut: HeldOut,
  input: ScoreInput,
): Promise<{ evaluation: Evaluation; leak?: RowLeak }> {
  if ('reason' in heldOut) return { evaluation: heldOut };
  const { task, full } = heldOut;
  const weights = emulatorWeights(emulator, { memory: 0 });
  const own = await run(engine, emulator.model, weights, task, input);
  const cells = {
    full: measurementOf(full.likelihoods, task).cell,
    emulator: measurementOf(own.likelihoods, task).cell,
  };
  const cpl = keptAbility(task.metric, { full: cells.full.value, emulator: cells.emulator.value });
  const evaluation = {
    ...{ metric: task.metric, samples: full.likelihoods.length, ...cells },
    ...(cpl === undefined ? {} : { cpl }),
  };
  if (!isSaid(full) || !isSaid(own)) return { evaluation };
  const control = await run(engine, emulator.model, randomControl(weights, emulator.model), task, {
    ...input,
    leak: false,
  });
  const leak = rowLeak({
    ...{ task, full, emulator: own, control: control.likelihoods },
    unigram: await unigramOfProbe(engine, emulator.model, heldOut.digest, input),
    stopIfAsked: () => engine.throwIfCancelled(),
  });
  return { evaluation, leak };
}

/** The unigram model of the rows that come before the held-out ones. */
async function unigramOfProbe(
  engine: Engine,
  model: Model,
  digest: string,
  { data, probe, memory }: ScoreInput,
) {
  const { samples: limit, maxLength } = probe;
  const rows = await loadTask(model, engine, {
    ...{ ...data, name: 'probe', digest },
    ...{ mayHaveNone: true, limit, maxLength, memory },
  });
  return unigramOf(
    [...lossTokens(rows)].map(({ token }) => token),
    model.architecture.vocabulary,
  );
}

/** One pass over the rows; each block's weights are read once. */
async function run(
  engine: Engine,
  { architecture }: Model,
  weights: WeightSource,
  task: TaskData,
  { memory, emit, leak }: ScoreInput,
): Promise<Heard> {
  const decoder = new Decoder(engine, architecture, holdingLatest(weights));
  const options = { memory: memory / 2, stage: 'assemble', emit };
  if (!leak) return { likelihoods: await likelihoodsOf(decoder, task, options) };
  const greedyTokens = new Int32Array(targetsOf(task));
  let at = 0;
  const onGreedyTokens = (tokens: Int32Array) => {
    greedyTokens.set(tokens, at);
    at += tokens.length;
  };
  return { likelihoods: await likelihoodsOf(decoder, task, { ...options, onGreedyTokens }), greedyTokens };
}

const targetsOf = ({ batches }: TaskData) => batches.reduce((sum, { targets }) => sum + targets.length, 0);

/** The same rows of the same model score the same, whatever the pooling. */
function keyOf(key: ProbeKey, { limit, leak }: ScoreInput): string {
  const text = canonicalJson({ key, limit, ...(leak ? { leak } : {}) });
  return sha256(text).slice('sha256:'.length, 'sha256:'.length + 16);
}
