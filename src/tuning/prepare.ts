// What a training is: read, checked and laid out before its first step.
import { badSpec, hidesRows, type OffsiteTuneSpec } from '../api/index.ts';
import {
  checkpointsOf,
  type Described,
  identityOf,
  type Keeper,
  type Replaceable,
  sha256,
} from '../artifact/index.ts';
import {
  checkTargets,
  DataOrder,
  dataDigest,
  type Example,
  Random,
  readRows,
  tokenize,
} from '../data/index.ts';
import { type Bundle, emulatorWeights, shapeIn, trainedLayers, trainedPosition } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { loadTask } from '../evaluation/index.ts';
import {
  checkTrainedMemory,
  Decoder,
  forTraining,
  type HeadGradient,
  headGradient,
  type Site,
  withReplaced,
} from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import {
  checkpointsOfTraining,
  SparseChange,
  type TrainingPlan,
  type TrainingRecord,
} from '../training/index.ts';
import { adapterOf, linearModules } from './adapters/index.ts';
import { canaries } from './audit/index.ts';
import { type Aim, aimOf, objectiveOf } from './objective.ts';
import { planTuning } from './plan.ts';
import { figuresOf, planPrivacy, rowsDigest, tokensDigest } from './privacy/index.ts';
import type { TrainedAdapter } from './result.ts';
import { sameTraining } from './same-training.ts';
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
  /** The adapter that the word beside the output says to be this resource's, where that hides its rows. */
  told?: string | undefined;
}

/** One tuning run: what it reads, and the state that it changes. */
export interface Run extends TrainedAdapter {
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
  /** The digest of its rows' tokens; empty where it does not hide them. */
  tokens: string;
  /** By what its history is known: what it does with its rows, and what it is measured on. */
  measuredAs: string;
  /** By what its checkpoints and its noise key are found while it is unfinished. */
  unfinishedAs: string;
}

/** Streams of the seed from here on start the adapters of the layers; the rows' order has those before. */
const startStream = 1_000_000;

/**
 * All that a training is of, from its files and its spec.
 * @throws OffsiteError BadSpec, BadModel, BadData
 */
export async function prepare(
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
  const isHidden = hidesRows(spec.privacy);
  const { positions } = model.architecture;
  // Asked of the spec: which row is too long would be told by the run's end.
  if (isHidden && positions !== undefined && maxLength > positions)
    throw badSpec(
      `spec.training.maxLength: ${maxLength} is more than the ${positions} tokens that the emulator has positions for; with spec.privacy it is ${positions} at most`,
    );
  const rows = await tokenize(
    await readRows(data, format, { digest: digests.data, cancelled: () => engine.isCancelled, memory }),
    format,
    model.tokenizer,
    {
      mode: aim.pairs === undefined ? 'train' : 'score',
      ...{ maxLength, positions, hidden: isHidden },
      file: data,
      cancelled: () => engine.isCancelled,
    },
  );
  // Where rows are hidden, that no adapter comes would tell what the emulator's tokenizer makes of them.
  if (!isHidden) checkTargets(rows, data);
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
  const now = () => ({ seed: training.seed, step: record.step, byContent: privacy !== undefined });
  const parts = new Map<Site, TrainedPart>();
  const isExact = layers.transferLayers.length > 0;
  const partOf = (layer: number) =>
    isExact
      ? trainedLayer(model, layer, adapter, randomAt(layer), now)
      : trainedBeside(model, layer, adapter, randomAt(layer), now, shapeIn(layout, layer));
  const trained = trainedLayers(layers);
  const modules = linearModules(model.architecture, trained);
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
    checkStart(start, spec.adapter, modules);
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
  const exactly = (said: Described) =>
    identityOf({
      madeFrom: { ...said.madeFrom, ...digests },
      hyperparameters: { ...said.hyperparameters, plan: named },
    });
  const described = { madeFrom, hyperparameters };
  const identity = exactly(described);
  const tokens = privacy === undefined ? '' : tokensDigest(examples);
  const trainedOn = privacy === undefined ? '' : rowsDigest(examples);
  const known = (said: Described) => sameTraining(said, { rows: trainedOn, order, modules });
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
            ...{ mayHaveNone: isHidden, hidden: isHidden },
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
    work: {
      kind: 'Adapter',
      ...{ ...described, identity },
      ...(privacy && { isOnce: true, sameAs: (said) => [known(said), exactly(said)] }),
    },
    identity,
    tokens,
    measuredAs: privacy
      ? sha256(`${known(described)} measured on ${digests.validation ?? 'no rows'}`)
      : identity,
    // Steps of earlier versions, whose masks hung on the numbers of hidden rows, are not gone on from.
    unfinishedAs:
      privacy !== undefined && adapter.dropout !== undefined
        ? sha256(`${identity} masks by content`)
        : identity,
  };
}

/** Where its own checkpoints lie. */
export const ownCheckpoints = (work: string, { unfinishedAs }: Run) =>
  checkpointsOfTraining(checkpointsOf(work), unfinishedAs);

const headRoom = (head: TrainedPart | undefined) =>
  head === undefined ? {} : { headGradient: headGradient(head.tensors[0]!.values.length) };
