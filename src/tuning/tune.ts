// The fine-tuning stage: from an emulator and private rows to an adapter, resumed from its checkpoints.
import type { Audit, OffsiteTuneSpec } from '../api/index.ts';
import {
  checkpointsOf,
  digestMade,
  doneOrFree,
  identityOf,
  inPlace,
  type Keeper,
  type Replaceable,
} from '../artifact/index.ts';
import { DataOrder, dataDigest, type Example, packStep, Random, readRows, tokenize } from '../data/index.ts';
import {
  type Bundle,
  emulatorWeights,
  openBundle,
  shapeIn,
  trainedLayers,
  trainedPosition,
} from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { likelihoodsOf, loadTask, measurementOf, packForModel } from '../evaluation/index.ts';
import {
  checkTrainedMemory,
  Decoder,
  forTraining,
  type HeadGradient,
  headGradient,
  type Site,
  withReplaced,
} from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import {
  checkpointsOfTraining,
  clearOthers,
  crossEntropy,
  type HiddenRows,
  learningRateFactor,
  meanPairLoss,
  type Objective,
  optimiserStep,
  pairObjective,
  restoreState,
  runTraining,
  SparseChange,
  saveState,
  type TrainingPlan,
  type TrainingRecord,
} from '../training/index.ts';
import { adapterOf } from './adapters/index.ts';
import { audit, canaries, checkAuditable, takeSealed } from './audit/index.ts';
import { historyOf, madeEarlier, restoreRecord, writeHistory } from './history.ts';
import { refuseDiverged, suspectAt, warnOfNoLoss, warnOfZeros } from './not-finite.ts';
import { type Aim, aimOf, objectiveOf } from './objective.ts';
import { planTuning } from './plan.ts';
import {
  chanceOf,
  figuresOf,
  noiseKey,
  type PrivacyPlan,
  planPrivacy,
  poissonSample,
  refuseOtherNoise,
} from './privacy/index.ts';
import { keptReference, type Reference } from './reference.ts';
import { resultOf, type TrainedAdapter, type TuneResult, writeAdapter } from './result.ts';
import { checkStart, type Start, startFrom } from './start.ts';
import { type TrainedPart, trainedBeside, trainedHead, trainedLayer, trainedNumbers } from './trained.ts';

export interface TuneOptions {
  spec: OffsiteTuneSpec;
  emulator: { directory: string; digest?: string | undefined };
  /** Opens the adapter to go on from, with every check of one that comes back; absent for the beginning of its own kind. */
  start?: ((bundle: Bundle) => Start) | undefined;
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
  /** Which other artifact at the output may be replaced; any when absent. */
  mayReplace?: Replaceable | undefined;
}

/** Streams of the seed from here on start the adapters of the layers; the rows' order has those before. */
const startStream = 1_000_000;

/**
 * Trains inside the emulator, its transfer layers or beside all of its layers, and writes the adapter. Goes on from the newest checkpoint of the same
 * work, to the same adapter; returns a finished adapter of the same work at once, where this resource has made it.
 * @throws OffsiteError BadModel, BadData, and Cancelled after a checkpoint
 */
export async function tune(options: TuneOptions): Promise<TuneResult> {
  const { output, work, emit, keeper = inPlace } = options;
  const bundle = openBundle(options.emulator.directory, options.emulator.digest);
  let start: Start | undefined;
  try {
    start = options.start?.(bundle);
    const run = await prepare(options, bundle, start);
    const { audit: asked } = options.spec;
    if (asked) checkAuditable(asked, { rows: run.rows, validation: run.validation?.examples });
    const started = performance.now();
    const { state } = run;
    let trained = 0;
    const history = historyOf(work);
    await keeper.pull(history, { exact: false });
    const destination = { output, own: work, keeper, mayReplace: options.mayReplace };
    const earlier = madeEarlier(history, run.identity);
    const done = await doneOrFree(destination, run.work, earlier);
    let digest = done?.digest;
    if (digest === undefined) {
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (run.privacy !== undefined) {
        const made = (await digestMade(work, run.identity, keeper)) ?? earlier;
        refuseOtherNoise(ownCheckpoints(work, run), made, output);
      }
      // Before anything is trained, and before what was trained earlier is put in place.
      const references = await referencesOf(run, options);
      if (restoreState(ownCheckpoints(work, run), run.identity, state, emit)) state.record.resumes += 1;
      for (const { training } of run.parts.values()) training.update();
      warnOfHead(run, options);
      trained = await train(run, references, options);
      digest = await writeAdapter(destination, run, run.checkUnchanged);
      writeHistory(history, run.identity, state.record);
    } else if (!restoreRecord(history, run.identity, state.record)) {
      // Killed between the adapter and its history.
      await keeper.pull(ownCheckpoints(work, run), { exact: false });
      if (restoreState(ownCheckpoints(work, run), run.identity, state, () => {}))
        writeHistory(history, run.identity, state.record);
    }
    keeper.pushLater(history, { exact: true });
    const seconds = (performance.now() - started) / 1000;
    const result = resultOf({ output, digest }, run, trained / seconds);
    return asked ? { ...result, audit: await auditOf(asked, run, { start, digest }, options) } : result;
  } finally {
    start?.close();
    bundle.close();
  }
}

const ownCheckpoints = (work: string, { identity }: Run) =>
  checkpointsOfTraining(checkpointsOf(work), identity);

/** What attacks find on the adapter as it was sealed, against what whoever has it had before. */
async function auditOf(
  asked: Audit,
  run: Run,
  { start, digest }: { start: Start | undefined; digest: string },
  { spec, output, memory, emit }: TuneOptions,
) {
  const { state, parts, untuned, decoder, rows, validation, bundle } = run;
  const evaluated = () => {
    for (const { evaluated } of parts.values()) evaluated.update();
    return decoder;
  };
  const { seed, maxLength } = spec.training;
  return await audit(asked, {
    before() {
      if (start === undefined) return untuned;
      startFrom(start, state.tensors);
      return evaluated();
    },
    after() {
      takeSealed({ output, digest }, state.tensors);
      return evaluated();
    },
    ...{ seed, maxLength, memory, emit, takesNaN: run.privacy !== undefined },
    architecture: bundle.model.architecture,
    rows,
    validation: validation?.examples,
  });
}

/** One tuning run: what it reads, and the state that it changes. */
interface Run extends TrainedAdapter {
  bundle: Bundle;
  /** Throws where bundle or start are others now than those that were opened. */
  checkUnchanged: () => void;
  /** Whether it goes on from an adapter. */
  hasStart: boolean;
  /** The data's own rows, and all that are trained on: with canaries, where an audit asks for them. */
  rows: readonly Example[];
  examples: readonly Example[];
  /** The emulator as it came. */
  untuned: Decoder;
  /** The emulator while it trains, and as it runs afterwards. */
  trainer: Decoder;
  decoder: Decoder;
  plan: TrainingPlan;
  order: DataOrder;
  /** What is trained at each site. */
  parts: Map<Site, TrainedPart>;
  aim: Aim;
  sparse?: SparseChange;
  /** Room for the gradient of a trained head. */
  headGradient?: HeadGradient;
  /** Digest of all that the adapter depends on. */
  identity: string;
}

async function prepare(
  { spec, data, validation, engine, memory }: TuneOptions,
  bundle: Bundle,
  start: Start | undefined,
): Promise<Run> {
  const { model, plan: layers, layout } = bundle;
  const { training } = spec;
  const aim = aimOf(spec);
  const { format } = spec.data;
  const digests: { data: string; validation?: string } = {
    data: dataDigest(data, 'spec.data', spec.data.digest),
    ...(validation === undefined
      ? {}
      : { validation: dataDigest(validation, 'spec.data.validation', spec.data.validation?.digest) }),
  };
  const { maxLength } = training;
  const rows = await tokenize(
    await readRows(data, format, { digest: digests.data, cancelled: () => engine.isCancelled, memory }),
    format,
    model.tokenizer,
    {
      mode: aim.pairs === undefined ? 'train' : 'score',
      maxLength,
      file: data,
      cancelled: () => engine.isCancelled,
    },
  );
  const strange = spec.audit?.canaries && { count: spec.audit.canaries.count };
  const { vocabulary } = model.architecture;
  const examples = strange
    ? [...rows, ...canaries({ ...strange, seed: training.seed, vocabulary }, rows.length)]
    : rows;
  const order = new DataOrder(examples.length, training.seed);
  const steps = training.steps ?? (training.epochs as number) * order.stepsPerEpoch(training.batchSize);
  const { batchSize } = training;
  const privacy = planPrivacy(spec.privacy, { rows: examples.length, batchSize, steps });

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
  const randomAt = (layer: number) => new Random(training.seed, startStream + layer);
  const now = () => ({ seed: training.seed, step: record.step });
  const parts = new Map<Site, TrainedPart>();
  const isExact = layers.transferLayers.length > 0;
  const partOf = (layer: number) =>
    isExact
      ? trainedLayer(model, layer, adapter, randomAt(layer), now)
      : trainedBeside(model, layer, adapter, randomAt(layer), now, shapeIn(layout, layer));
  const trained = trainedLayers(layers);
  // A kind that needs the layers' own weights is refused by its name.
  const fits = isExact || adapter.beside !== undefined;
  checkTrainedMemory({
    numbers: fits ? trainedNumbers(model.architecture, adapter, trained) : 0,
    stored: bundle.artifact.manifest.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    memory,
    byRow: privacy !== undefined,
  });
  for (const layer of trained) parts.set(trainedPosition(layout, layer), partOf(layer));
  if (adapter.head !== undefined)
    parts.set('head', trainedHead(model, adapter.head, randomAt(model.architecture.depth)));
  const tensors = [...parts.values()].flatMap((part) => part.tensors);
  // Before the start is put in place: a weight is drawn to the model's own.
  const sparse = aim.l1 > 0 ? new SparseChange(aim.l1, tensors) : undefined;
  if (start !== undefined) {
    checkStart(start, spec.adapter);
    startFrom(start, tensors);
    // What is asked before the first step is asked of these.
    for (const part of parts.values()) for (const form of [part.training, part.evaluated]) form.update();
  }
  const madeFrom = { emulator: bundle.artifact.digest, ...(start && { start: start.digest }) };
  const weights = emulatorWeights(bundle, { memory: memory / 2 });
  const blocks = Array.from({ length: weights.depth }, (_, position) => weights.slots(position));
  const { widths, hidden } = model.architecture;
  const size = { heads: widths.heads, hidden, memory: memory / 2, given: memory };
  const { plan, named } = planTuning([blocks, size], {
    ...{ examples, rows: training.microBatchSize ?? batchSize, maxLength },
    ...{ hidden: privacy !== undefined, pairs: aim.pairs !== undefined },
  });
  const hyperparameters = {
    ...{ adapter: spec.adapter, format, training, engine: spec.engine },
    // An adapter that hides its rows has never said it.
    ...(privacy === undefined && { plan }),
    ...objectiveOf(spec),
    ...(privacy && { privacy: figuresOf(privacy) }),
    ...(strange && { canaries: strange }),
  };
  // The manifest says nothing of the rows: who guesses a file could confirm it by its digest.
  const identity = identityOf({
    madeFrom: { ...madeFrom, ...digests },
    hyperparameters: { ...hyperparameters, plan: named },
  });
  const decoderOf = (form: 'training' | 'evaluated') => {
    const forms = new Map([...parts].map(([site, part]) => [site, part[form]]));
    return new Decoder(engine, model.architecture, withReplaced(weights, forms), forTraining);
  };
  const decoder = decoderOf('evaluated');
  return {
    bundle,
    hasStart: start !== undefined,
    rows,
    checkUnchanged() {
      bundle.artifact.checked.checkUnchanged();
      start?.checked.checkUnchanged();
    },
    examples,
    untuned: new Decoder(engine, model.architecture, weights, forTraining),
    validation:
      validation === undefined
        ? undefined
        : await loadTask(model, engine, {
            name: 'validation',
            path: validation,
            format,
            digest: digests.validation,
            maxLength,
            memory,
            byTiles: false,
            metric: aim.hasReference ? 'pair_acc' : undefined,
          }),
    aim,
    decoder,
    trainer: adapter.dropout === undefined ? decoder : decoderOf('training'),
    plan,
    steps,
    order,
    privacy,
    parts,
    ...headRoom(parts.get('head')),
    adapterFiles: adapter.files(model.architecture, trained),
    state: { tensors, record },
    ...(sparse && { sparse }),
    work: { kind: 'Adapter', madeFrom, hyperparameters, identity, isOnce: privacy !== undefined },
    identity,
  };
}

/** What the emulator says of the rows before it is tuned, where the aim is against that. */
interface References {
  rows?: Reference;
  validation?: Reference;
}

async function referencesOf(run: Run, { work, memory, emit }: TuneOptions): Promise<References> {
  const { aim, identity, examples, validation, decoder, bundle, privacy, plan } = run;
  if (!aim.hasReference) return {};
  const hidden = privacy !== undefined;
  const kept = { directory: ownCheckpoints(work, run), identity, takesAll: hidden };
  const options = { memory: memory / 2, stage: 'tune: reference', emit, takesNaN: hidden };
  const { architecture } = bundle.model;
  // Of rows that are hidden each is asked alone: what stands beside it must not be told by its gradient.
  const batches = () =>
    hidden
      ? examples.flatMap((_, place) => packStep(examples, [place], plan.shape))
      : packForModel(examples, architecture, { memory });
  const name = hidden ? 'rows alone' : 'rows';
  const rows = await keptReference({ ...kept, name }, examples, () =>
    likelihoodsOf(decoder, { batches: batches(), metric: 'pair_acc' }, options),
  );
  if (validation === undefined) return { rows };
  const score = () => likelihoodsOf(decoder, validation, options);
  const ofValidation = await keptReference({ ...kept, name: 'validation' }, validation.examples, score);
  return { rows, validation: ofValidation };
}

/** Trains to the last step; tokens computed by this process. */
async function train(run: Run, references: References, options: TuneOptions): Promise<number> {
  const { spec, work, engine, memory, emit, keeper = inPlace } = options;
  const { state, steps, decoder, checkUnchanged, parts, aim, hasStart } = run;
  const validation = run.validation && { ...run.validation, ...compared(references.validation) };
  const objective = aim.pairs === undefined ? crossEntropy : pairObjective(aim.pairs, references.rows);
  const { evalSteps, checkpointSteps } = spec.training;
  const checkpoints = ownCheckpoints(work, run);
  const nextStep =
    run.privacy === undefined
      ? () => step(run, objective, spec)
      : await hiddenSteps(run, run.privacy, objective, options);
  const progress = progressOf('tune', steps, emit, state.record.step);
  const before = state.record.tokens;
  await runTraining({
    ...{ state, steps, evalSteps, checkpointSteps },
    step: nextStep,
    // What validation rows choose would tell of them, and nothing hides them.
    chooses: run.privacy === undefined,
    evaluate:
      validation &&
      (async () => {
        for (const { training, evaluated } of parts.values()) if (evaluated !== training) evaluated.update();
        const likelihoods = await likelihoodsOf(decoder, validation, {
          memory: memory / 2,
          stage: 'evaluate',
          emit,
          takesNaN: run.privacy !== undefined || state.record.step > 0,
        });
        const found = measurementOf(likelihoods, validation);
        const { cell } = found;
        const loss =
          aim.pairs === undefined ? found.loss : meanPairLoss(likelihoods, aim.pairs, references.validation);
        if (run.privacy === undefined) refuseDiverged(loss, likelihoods, state.record, hasStart);
        return { loss, cell };
      }),
    async save() {
      await keeper.held();
      // What was computed on other weights is gone on from by nobody.
      checkUnchanged();
      saveState(checkpoints, run.identity, state);
      clearOthers(checkpoints);
      keeper.pushLater(checkpointsOf(work), { exact: true });
    },
    progress: (loss, evaluated) =>
      progress(1, [
        ...(Number.isNaN(loss) ? [] : [{ name: 'loss', value: loss.toFixed(4) }]),
        ...(evaluated === undefined ? [] : [{ name: 'validationLoss', value: evaluated.loss.toFixed(4) }]),
      ]),
  });
  engine.throwIfCancelled();
  warnOfZeros(state.record, hasStart, emit);
  warnOfNoLoss(state.record, hasStart, emit);
  return state.record.tokens - before;
}

const compared = (reference: Reference | undefined) => (reference === undefined ? {} : { reference });

/** One step of the optimiser on the next rows. */
async function step(run: Run, objective: Objective, spec: OffsiteTuneSpec): Promise<number> {
  const { state, examples, order, plan } = run;
  const { places, cursor } = order.take(state.record.cursor, spec.training.batchSize);
  const loss = await optimiserStep(
    run.trainer,
    packStep(examples, places, plan.shape),
    state,
    stepOptions(run, objective, spec),
  );
  state.record.cursor = cursor;
  return loss;
}

/**
 * Steps on rows that are drawn and hidden by a key of this training's own; each row is a batch. The key is in the work place
 * before there are any: whoever keeps the output would get adapters of several keys else, from pods that could not seal theirs.
 */
async function hiddenSteps(
  run: Run,
  privacy: PrivacyPlan,
  objective: Objective,
  { spec, work, keeper = inPlace }: TuneOptions,
) {
  const { state, examples, plan, identity } = run;
  const key = noiseKey(ownCheckpoints(work, run));
  await keeper.push(checkpointsOf(work), { exact: true });
  const { clipNorm, expectedRows, noiseMultiplier, samplingRate } = privacy;
  const randomOf = chanceOf(key, identity, examples);
  const hidden: HiddenRows = {
    ...{ clipNorm, expectedRows, deviation: noiseMultiplier * clipNorm },
    normal(tensor, step) {
      const random = randomOf(`noise ${step} ${tensor}`);
      return () => random.normal();
    },
  };
  return async (): Promise<number> => {
    const places = poissonSample(randomOf(`rows ${state.record.step}`), examples.length, samplingRate);
    const rows = places.flatMap((place) => packStep(examples, [place], plan.shape));
    return await optimiserStep(run.trainer, rows, state, { ...stepOptions(run, objective, spec), hidden });
  };
}

function stepOptions(
  { state, steps, parts, plan, headGradient: head, sparse, hasStart }: Run,
  objective: Objective,
  { training }: OffsiteTuneSpec,
) {
  const factor = learningRateFactor(training.schedule, state.record.step, steps, training.warmupSteps);
  return {
    ...{ parts, objective, sparse, recompute: plan.recompute },
    ...(head && { head }),
    learningRate: Number(training.learningRate) * factor,
    rateField: 'spec.training.learningRate',
    suspect: suspectAt(state.record.step + 1, hasStart),
    clipNorm: Number(training.clipNorm),
    adam: {
      betas: training.betas.map(Number) as [number, number],
      weightDecay: Number(training.weightDecay),
    },
  };
}

/** A head's rows are the vocabulary's: those that answers hold change in a way of their own. */
function warnOfHead({ privacy }: Run, { spec, emit }: TuneOptions): void {
  if (spec.adapter.head !== true || privacy !== undefined) return;
  emit({
    type: 'warning',
    reason: 'RowsTold',
    message:
      "spec.adapter.head: a head that is trained tells which tokens the rows' answers hold; leave it out, or train with spec.privacy (docs/privacy.md)",
  });
}

const headRoom = (head: TrainedPart | undefined) =>
  head === undefined ? {} : { headGradient: headGradient(head.tensors[0]!.values.length) };
