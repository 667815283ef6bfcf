import { join } from 'node:path';
import { badModel, OffsiteError, type OffsiteTuneSpec } from '../api/index.ts';
import {
  checkpointsOf,
  doneBefore,
  identityOf,
  inPlace,
  type Keeper,
  type Made,
  refuseUnknown,
} from '../artifact/index.ts';
import {
  DataOrder,
  dataDigest,
  type Example,
  packStep,
  Random,
  readRows,
  tokenCount,
  tokenize,
} from '../data/index.ts';
import { type Bundle, emulatorWeights, openBundle, trainedPosition } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { loadTask, measure } from '../evaluation/index.ts';
import { Decoder, type Place, withReplaced } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import {
  adamW,
  clearOthers,
  clipScale,
  type Evaluation,
  globalNorm,
  gradientStep,
  learningRateFactor,
  restoreState,
  saveState,
  type TrainingRecord,
  type TrainingState,
} from '../training/index.ts';
import { adapterOf } from './adapters/index.ts';
import { hasMade, historyOf, restoreRecord, writeHistory } from './history.ts';
import { planTraining, type TrainingPlan } from './plan.ts';
import { resultOf, type TrainedAdapter, type TuneResult, writeAdapter } from './result.ts';
import { type TrainedPart, trainedHead, trainedLayer } from './trained.ts';

export interface TuneOptions {
  spec: OffsiteTuneSpec;
  emulator: { directory: string; digest?: string | undefined };
  /** Files of rows. */
  data: string;
  validation?: string | undefined;
  output: string;
  /** A directory of this resource alone: checkpoints and the loss history, which are the data owner's. */
  work: string;
  engine: Engine;
  /** Bytes for weights, residuals and hidden states. */
  memory: number;
  emit: Emit;
  /** Brings checkpoints from their store and there, and knows whose the output is. */
  keeper?: Keeper;
  /** Whether another artifact at the output may be replaced. */
  mayReplace?: boolean | undefined;
}

/** Streams of the seed from here on start the adapters of the layers; the rows' order has those before. */
const startStream = 1_000_000;

/**
 * Trains the transfer layers inside the emulator and writes the adapter. Goes on from the newest checkpoint of the same
 * work, to the same adapter; returns a finished adapter of the same work at once.
 * @throws OffsiteError BadModel, BadData, and Cancelled after a checkpoint
 */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const { output, work, emit, keeper = inPlace } = options;
  const bundle = openBundle(options.emulator.directory, options.emulator.digest);
  try {
    const run = await prepare(options, bundle);
    const started = performance.now();
    const { state } = run;
    let trained = 0;
    const history = historyOf(work);
    await keeper.pull(history, { exact: false });
    const done = madeBefore(output, run, history);
    if (done === undefined) {
      refuseUnknown(output, options.mayReplace ?? true);
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (restoreState(ownCheckpoints(work, run), run.identity, state, emit)) state.record.resumes += 1;
      for (const { training } of run.parts.values()) training.update();
      trained = await train(run, options);
      const checkUnchanged = () => bundle.artifact.checked.checkUnchanged();
      const adapter = await writeAdapter(output, run, { checkUnchanged, keeper });
      writeHistory(history, { identity: run.identity, adapter }, state.record);
    } else if (!restoreRecord(history, run.identity, state.record)) {
      // An adapter of an earlier version, which needs no history to be known.
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (restoreState(ownCheckpoints(work, run), run.identity, state, () => {}))
        writeHistory(history, { identity: run.identity, adapter: done.digest }, state.record);
    }
    keeper.pushLater(history, { exact: true });
    const seconds = (performance.now() - started) / 1000;
    return resultOf(output, run, trained / seconds);
  } finally {
    bundle.close();
  }
}

/** Of this very training: another one of the same resource neither sees nor clears what is saved while it is saved. */
const ownCheckpoints = (work: string, { identity }: Run) =>
  join(checkpointsOf(work), identity.slice('sha256:'.length, 'sha256:'.length + 16));

/** One tuning run: what it reads, and the state that it changes. */
interface Run extends TrainedAdapter {
  bundle: Bundle;
  examples: Example[];
  /** The emulator while it trains, and as it runs afterwards. */
  trainer: Decoder;
  decoder: Decoder;
  plan: TrainingPlan;
  order: DataOrder;
  /** What is trained at each place. */
  parts: Map<Place, TrainedPart>;
  /** Room for the gradient of a trained head. */
  headGradient?: Float32Array;
  /** What the adapter depends on beside its hyperparameters; the digests of the rows are the data owner's and do not travel. */
  origin: Record<string, string>;
  /** Digest of all that the adapter depends on. */
  identity: string;
}

async function prepare(
  { spec, data, validation, engine, memory }: TuneOptions,
  bundle: Bundle,
): Promise<Run> {
  const { model, plan: layers, layout } = bundle;
  const { training } = spec;
  const { format } = spec.data;
  const digests = {
    data: dataDigest(data, 'spec.data', spec.data.digest),
    ...(validation === undefined
      ? {}
      : { validation: dataDigest(validation, 'spec.data.validation', spec.data.validation?.digest) }),
  };
  const { maxLength } = training;
  const examples = await tokenize(await readRows(data, format), format, model.tokenizer, {
    mode: 'train',
    maxLength,
    file: data,
    cancelled: () => engine.isCancelled,
  });
  const order = new DataOrder(examples.length, training.seed);
  const steps = training.steps ?? (training.epochs as number) * order.stepsPerEpoch(training.batchSize);

  const adapter = adapterOf(spec.adapter);
  const record: TrainingRecord = {
    step: 0,
    cursor: { epoch: 0, index: 0 },
    tokens: 0,
    resumes: 0,
    losses: [],
    evaluations: [],
    bestStep: 0,
  };
  const randomAt = (place: number) => new Random(training.seed, startStream + place);
  const now = () => ({ seed: training.seed, step: record.step });
  const parts = new Map<Place, TrainedPart>();
  for (const layer of layers.transferLayers)
    parts.set(trainedPosition(layout, layer), trainedLayer(model, layer, adapter, randomAt(layer), now));
  if (adapter.head !== undefined)
    parts.set('head', trainedHead(model, adapter.head, randomAt(model.architecture.depth)));
  const madeFrom = { emulator: bundle.artifact.digest };
  const origin = { ...madeFrom, ...digests };
  const plan = planTraining(model.architecture, {
    depth: layers.source.length,
    longest: examples.reduce((most, example) => Math.max(most, tokenCount(example)), 1),
    rows: training.microBatchSize ?? training.batchSize,
    memory: memory / 2,
  });
  const hyperparameters = { adapter: spec.adapter, format, training, engine: spec.engine, plan };
  const weights = emulatorWeights(bundle, { memory: memory / 2 });
  const decoderOf = (form: 'training' | 'evaluated') => {
    const forms = new Map([...parts].map(([place, part]) => [place, part[form]]));
    return new Decoder(engine, model.architecture, withReplaced(weights, forms));
  };
  const decoder = decoderOf('evaluated');
  return {
    bundle,
    examples,
    validation:
      validation === undefined
        ? undefined
        : await loadTask(model, engine, { name: 'validation', path: validation, format, maxLength }),
    decoder,
    trainer: adapter.dropout === undefined ? decoder : decoderOf('training'),
    plan,
    steps,
    order,
    parts,
    ...headRoom(parts.get('head')),
    adapterFiles: adapter.files(model.architecture, layers.transferLayers),
    state: {
      tensors: [...parts.values()].flatMap(({ tensors }) => tensors),
      record,
    },
    work: { kind: 'Adapter', madeFrom, hyperparameters },
    origin,
    identity: identityOf({ madeFrom: origin, hyperparameters }),
  };
}

/** Trains to the last step; tokens computed by this process. */
async function train(run: Run, options: TuneOptions): Promise<number> {
  const { spec, work, engine, memory, emit, keeper = inPlace } = options;
  const { state, steps, validation, decoder, bundle } = run;
  const { record } = state;
  const { evalSteps, checkpointSteps } = spec.training;
  const checkpoints = ownCheckpoints(work, run);
  const progress = progressOf('tune', steps, emit, record.step);
  const before = record.tokens;
  const save = async () => {
    await keeper.held();
    // What was computed on other weights is gone on from by nobody.
    bundle.artifact.checked.checkUnchanged();
    saveState(checkpoints, run.identity, state);
    clearOthers(checkpoints);
    keeper.pushLater(checkpointsOf(work), { exact: true });
  };
  const evaluateWhenDue = async () => {
    const last = record.step === steps;
    if (validation === undefined) {
      if (last) keepBest(state);
      return;
    }
    const isDue = last || record.step % evalSteps === 0;
    if (!isDue || record.evaluations.at(-1)?.step === record.step) return;
    for (const { training, evaluated } of run.parts.values()) if (evaluated !== training) evaluated.update();
    const options = { memory: memory / 2, stage: 'evaluate', emit };
    const { loss, cell } = await measure(decoder, validation, options);
    const found = { step: record.step, loss, cell };
    if (record.step > 0 && isBest(record.evaluations, found)) keepBest(state);
    record.evaluations.push(found);
  };
  try {
    // Also after a resume: a stop during an evaluation leaves it to be made.
    await evaluateWhenDue();
    while (record.step < steps) {
      const loss = await step(run, spec);
      await evaluateWhenDue();
      const evaluated = record.evaluations.at(-1);
      progress(1, [
        { name: 'loss', value: loss.toFixed(4) },
        ...(evaluated === undefined ? [] : [{ name: 'validationLoss', value: evaluated.loss.toFixed(4) }]),
      ]);
      if (record.step === steps || record.step % checkpointSteps === 0) await save();
    }
  } catch (error) {
    // Stopped between two steps or in the middle of one: the weights are those of the last whole step.
    if (error instanceof OffsiteError && error.reason === 'Cancelled' && record.step > 0) await save();
    throw error;
  }
  engine.throwIfCancelled();
  return record.tokens - before;
}

/** One step of the optimiser. The state changes only after all gradients are there, so that a stop leaves it whole. */
async function step(
  { state, examples, order, plan, trainer, parts, steps, headGradient }: Run,
  spec: OffsiteTuneSpec,
): Promise<number> {
  const { record } = state;
  const { training } = spec;
  const { places, cursor } = order.take(record.cursor, training.batchSize);
  const batches = packStep(examples, places, plan.shape);
  const [first] = parts.values();
  const positions = new Set([...parts.keys()].filter((place) => place !== 'head'));
  const { loss, gradients: byPlace } = await gradientStep(trainer, batches, positions, {
    ...plan,
    slots: (first as TrainedPart).training.slots,
    ...(headGradient && { head: headGradient }),
  });
  const gradients = new Map(
    [...byPlace].map(([place, bySlot]) => [
      place,
      (parts.get(place) as TrainedPart).training.gradients(bySlot),
    ]),
  );
  const norm = globalNorm([...gradients.values()].flat());
  if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
    throw badModel(
      `step ${record.step + 1}: the ${Number.isFinite(loss) ? 'gradient' : 'loss'} is not finite; lower spec.training.learningRate`,
    );
  }
  const rate =
    Number(training.learningRate) *
    learningRateFactor(training.schedule, record.step, steps, training.warmupSteps);
  const scale = clipScale(norm, Number(training.clipNorm));
  const adam = {
    betas: training.betas.map(Number) as [number, number],
    weightDecay: Number(training.weightDecay),
  };
  for (const [place, { tensors, training: form }] of parts) {
    tensors.forEach((tensor, i) => {
      const gradient = gradients.get(place)?.[i] as Float32Array;
      adamW(tensor.values, gradient, tensor, record.step + 1, rate, scale, adam);
    });
    form.update();
  }
  record.step += 1;
  record.cursor = cursor;
  record.tokens += batches.reduce((sum, batch) => sum + batch.tokens, 0);
  record.losses.push(loss);
  return loss;
}

const headRoom = (head: TrainedPart | undefined) =>
  head === undefined ? {} : { headGradient: new Float32Array(head.tensors[0]!.values.length) };

function isBest(earlier: readonly Evaluation[], found: Evaluation): boolean {
  return earlier.every(({ step, loss }) => step === 0 || found.loss < loss);
}

function keepBest({ record, tensors }: TrainingState): void {
  record.bestStep = record.step;
  for (const { best, values } of tensors) best.set(values);
}

/**
 * The adapter that this very work has made before. Its manifest says nothing of the rows: who guesses a file could confirm it
 * by its digest. The history says whose it is; adapters of earlier versions name the rows.
 */
function madeBefore(output: string, { work, origin, identity }: Run, history: string): Made | undefined {
  const named = doneBefore(output, { ...work, madeFrom: origin });
  if (named !== undefined) return named;
  const made = doneBefore(output, work);
  return made && hasMade(history, { identity, adapter: made.digest }) ? made : undefined;
}
