// The first half of an emulator's build: pooled hidden states, by one process or by several shards.
import { badData, type DataFormat, type Shard } from '../../api/index.ts';
import { inPlace, type Keeper, type Replaceable, sha256 } from '../../artifact/index.ts';
import { dataDigest, type Example, type PackedBatch, readRows, tokenize } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { holdingLatest, packForModel } from '../../evaluation/index.ts';
import { Decoder, type HashedModel, type Model, openModel, weightsOf } from '../../model/index.ts';
import { type Emit, progressOf } from '../../progress/index.ts';
import {
  foundObservations,
  hasObservedShard,
  joinObservations,
  type ObservationKey,
  observationsDirectory,
  pullObservations,
  pushObservations,
  writeObservations,
  writeObservedShard,
} from '../observe/files.ts';
import { highestOf, includes, type ObservationName } from '../observe/observations.ts';
import { ObservingPassage } from '../observe/pass.ts';
import { memoryLeft } from '../observe/room.ts';
import { checkComparable } from '../similarity/comparable.ts';
import type { SimilarityOptions } from '../similarity/similarity.ts';
import { keptCount, observedBy, type PlanOptions } from '../strategies/make-plan.ts';
import type { Pooling } from './pooling.ts';
import { probe, shareOf } from './probe.ts';
import {
  hasShard,
  joinShards,
  type PooledRows,
  type ProbeKey,
  pullStates,
  pushShard,
  pushStates,
  readStates,
  statesDirectory,
  writeShard,
} from './states.ts';

/** What probing and assembling of one emulator have in common. */
export interface BuildInput {
  /** Path of the full model. */
  readonly model: string;
  /** Path and format of the probe set. */
  readonly data: { readonly path: string; readonly format: DataFormat };
  readonly probe: {
    readonly samples: number;
    readonly maxLength: number;
    readonly pooling: Pooling;
    readonly skipFirst: boolean;
    readonly shards: number;
  };
  /** What model and probe set must be, where the spec says it. */
  readonly expected?: { readonly model?: string | undefined; readonly data?: string | undefined };
  /** Which layers will be kept, so that a model with too few is refused before it is probed. */
  readonly plan?: PlanOptions;
  /** How layers are compared, so that more samples than memory has room for are refused before they are probed. */
  readonly similarity?: SimilarityOptions;
  /** What is observed beside pooled states and what the plan's strategy needs; nothing when absent. */
  readonly observe?: readonly ObservationName[];
  /** Where the bundle goes. */
  readonly output: string;
  /** The directory of all pooled states: never one that the bundle's readers see. */
  readonly work: string;
  /** Bytes that the stage may take beside the runtime. */
  readonly memory: number;
  readonly emit: Emit;
  /** Brings pooled states to their store and back, and knows whose the output is. */
  readonly keeper?: Keeper;
  /** Which other artifact at the output may be replaced; any when absent. */
  readonly mayReplace?: Replaceable | undefined;
}

/**
 * The stage `probe`: what the model says of this shard's rows, pooled states and what is observed beside them, by one pass.
 * One shard alone makes the artifacts; several are joined by the stage `assemble`, since they may end at the same time. Where
 * the artifacts or this shard's are there, nothing is computed.
 * @param check throws where what is wanted can go nowhere, before anything is computed
 * @returns the pooled states' directory, and whether all was there before
 */
export async function runProbe(
  engine: Engine,
  input: BuildInput,
  shardIndex = 0,
  check: (key: ProbeKey) => void = () => {},
): Promise<{ directory: string; reused: boolean }> {
  const model = openModel(input.model, { digest: input.expected?.model });
  try {
    if (input.plan !== undefined) keptCount(input.plan, model.architecture.depth);
    const key = probeKey(engine, model, input);
    check(key);
    const directory = statesDirectory(input.work, key);
    const shard: Shard = { index: shardIndex, count: input.probe.shards };
    await pullAll(key, input);
    const missing = missingOf(key, input, shard.count > 1 ? shard : undefined);
    const reused = !missing.states && missing.observations === undefined;
    if (!reused) await probeShard(engine, model, { key, shard, missing }, input);
    return { directory, reused };
  } finally {
    model.close();
  }
}

/**
 * What the stage `assemble` begins with: shards are joined, and what is not there is computed by this process alone.
 * @returns the directories of the pooled states and of the observations, where any are asked for
 */
export async function probed(
  engine: Engine,
  model: HashedModel,
  key: ProbeKey,
  input: BuildInput,
): Promise<{ states: string; observations: string | undefined }> {
  const keeper = input.keeper ?? inPlace;
  const { shards } = input.probe;
  const states = statesDirectory(input.work, key);
  const observed = observationKey(key, input);
  await pullAll(key, input);
  if (await joinShards(states, shards, key)) await pushStates(states, keeper);
  if (observed !== undefined && foundObservations(input.work, observed) === undefined) {
    const directory = observationsDirectory(input.work, observed);
    if (await joinObservations(directory, shards, observed)) await pushObservations(directory, keeper);
  }
  // Where the work of stage probe reaches no other pod, or was cleared away since.
  const missing = missingOf(key, input);
  if (missing.states || missing.observations !== undefined)
    await probeShard(engine, model, { key, shard: { index: 0, count: 1 }, missing }, input);
  return { states, observations: observed && foundObservations(input.work, observed) };
}

async function pullAll(key: ProbeKey, input: BuildInput): Promise<void> {
  const keeper = input.keeper ?? inPlace;
  await pullStates(statesDirectory(input.work, key), keeper);
  const observed = observationKey(key, input);
  if (observed !== undefined) await pullObservations(input.work, observed, keeper);
}

/** What of a pass is not there yet. */
interface Missing {
  readonly states: boolean;
  readonly observations: ObservationKey | undefined;
}

/** @param shard whose part is enough; the whole is asked for when absent */
function missingOf(key: ProbeKey, input: BuildInput, shard?: Shard): Missing {
  const states = statesDirectory(input.work, key);
  const observed = observationKey(key, input);
  const isThere =
    observed === undefined ||
    foundObservations(input.work, observed) !== undefined ||
    (shard !== undefined && hasObservedShard(observationsDirectory(input.work, observed), shard));
  return {
    states: readStates(states) === undefined && (shard === undefined || !hasShard(states, shard)),
    observations: isThere ? undefined : observed,
  };
}

function observationKey(key: ProbeKey, { observe = [], plan }: BuildInput): ObservationKey | undefined {
  const observed = highestOf([...observe, ...(plan ? observedBy(plan.strategy) : [])]);
  return observed && { ...key, observed };
}

interface ShardOfProbe {
  readonly key: ProbeKey;
  readonly shard: Shard;
  readonly missing: Missing;
}

/** One pass over a shard's rows; of one shard alone the artifacts, of several what they are joined from. */
async function probeShard(
  engine: Engine,
  model: HashedModel,
  { key, shard, missing }: ShardOfProbe,
  input: BuildInput,
): Promise<void> {
  const keeper = input.keeper ?? inPlace;
  const alone = shard.count === 1;
  let pooled: PooledRows | undefined;
  const { observations } = missing;
  if (observations !== undefined) {
    const directory = observationsDirectory(input.work, observations);
    const fill = async (temporary: string) => {
      const observing = { observed: observations.observed, directory: temporary };
      pooled = await pass(engine, model, { shard, observing, digest: key.data }, input);
    };
    if (alone) {
      await writeObservations(directory, observations, fill);
      await pushObservations(directory, keeper);
    } else await writeObservedShard(directory, shard, observations, { fill, keeper });
  }
  if (!missing.states) return;
  const directory = statesDirectory(input.work, key);
  // Another build may have observed the same meanwhile.
  pooled ??= await pass(engine, model, { shard, digest: key.data }, input);
  writeShard(directory, shard, pooled);
  if (alone) {
    await joinShards(directory, shard.count, key);
    await pushStates(directory, keeper);
  } else await pushShard(directory, shard, keeper);
}

interface PassOptions {
  readonly shard: Shard;
  /** Of the rows. */
  readonly digest: string;
  readonly observing?: { readonly observed: ObservationName; readonly directory: string };
}

async function pass(
  engine: Engine,
  model: HashedModel,
  { shard, digest, observing }: PassOptions,
  input: BuildInput,
): Promise<PooledRows> {
  const { architecture } = model;
  const decoder = new Decoder(engine, architecture, holdingLatest(weightsOf(model, { memory: 0 })));
  const { pooling, skipFirst } = input.probe;
  const examples = await probeExamples(model, engine, digest, input);
  if (input.similarity !== undefined) {
    const { depth: layers, hidden: width } = architecture;
    checkComparable({ samples: examples.length, layers, width }, input.similarity.metric, input.memory);
  }
  const backward = observing !== undefined && includes(observing.observed, 'gradients');
  const byTiles = engine.tilesAttention && !backward;
  const batches = packForModel(examples, architecture, { memory: input.memory, byTiles });
  const share = shareOf(batches, shard);
  if (backward && batches.every(({ targets }) => targets.length === 0))
    throw badData('the probe set has no token to predict, so there are no gradients; use longer rows');
  const progress = progressOf('probe', share.length * decoder.depth * (backward ? 2 : 1), input.emit);
  const whole = shard.count === 1 ? share.length : undefined;
  const passage = observing && new ObservingPassage(decoder, { ...observing, whole, progress });
  const memory = observing ? memoryLeft(decoder, batches, observing.observed, input.memory) : input.memory;
  const pooled = await probe(decoder, share, {
    memory: memory / 2,
    pooling,
    skipFirst,
    progress,
    passage,
  });
  model.checkUnchanged();
  return pooled;
}

/**
 * All that the pooled states depend on, read from the files themselves.
 * @throws OffsiteError BadData where the rows are not those that the spec names
 */
export function probeKey(
  engine: Engine,
  model: HashedModel,
  { data, probe: { samples, maxLength, pooling, skipFirst }, expected }: BuildInput,
): ProbeKey {
  return {
    model: model.digest,
    tokenizer: tokenizerDigest(model),
    data: dataDigest(data.path, 'spec.probe.data', expected?.data),
    format: data.format,
    samples,
    maxLength,
    pooling,
    skipFirst,
    ...engine.rounding,
  };
}

/** The sha256 of the tokenizer's files, with settings that no bundle carries any more. */
export function tokenizerDigest(model: Model): string {
  const lines = model.tokenizer.known.map(({ name, bytes }) => `${sha256(bytes)}  ${name}\n`);
  return sha256(lines.join(''));
}

/** The probe's rows, as the model is run on them. */
export const probeBatches = async (
  model: Model,
  engine: Engine,
  digest: string,
  input: BuildInput,
): Promise<PackedBatch[]> =>
  packForModel(await probeExamples(model, engine, digest, input), model.architecture, {
    memory: input.memory,
    byTiles: engine.tilesAttention,
  });

/** The first `samples` rows; of a choice or completion the prompt with the right answer. */
export async function probeExamples(
  model: Model,
  engine: Engine,
  digest: string,
  { data, memory, probe: { samples, maxLength } }: BuildInput,
): Promise<Example[]> {
  const cancelled = () => engine.isCancelled;
  const rows = await readRows(data.path, data.format, { limit: samples, digest, cancelled, memory });
  return tokenize(rows, data.format, model.tokenizer, {
    ...{ maxLength, positions: model.architecture.positions },
    mode: 'train',
    file: data.path,
    cancelled,
  });
}
