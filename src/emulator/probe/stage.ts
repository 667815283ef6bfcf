// The first half of an emulator's build: pooled hidden states, by one process or by several shards.
import { badModel, type DataFormat, type Shard } from '../../api/index.ts';
import { CheckedFiles, digestOf, inPlace, type Keeper, sha256 } from '../../artifact/index.ts';
import { dataDigest, type Example, readRows, tokenize } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { holdingLatest, packForModel } from '../../evaluation/index.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../model/index.ts';
import type { Emit } from '../../progress/index.ts';
import { checkKept } from '../plan/plan.ts';
import { checkComparable } from '../similarity/comparable.ts';
import type { SimilarityOptions } from '../similarity/similarity.ts';
import type { Pooling } from './pooling.ts';
import { probe } from './probe.ts';
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
  /** How many layers will be kept, so that a model with fewer is refused before it is probed. */
  readonly kept?: number;
  /** How layers are compared, so that more samples than memory has room for are refused before they are probed. */
  readonly similarity?: SimilarityOptions;
  /** Where the bundle goes. */
  readonly output: string;
  /** The directory of all pooled states: never one that the bundle's readers see. */
  readonly work: string;
  /** Bytes that the stage may take beside the runtime. */
  readonly memory: number;
  readonly emit: Emit;
  /** Brings pooled states to their store and back, and knows whose the output is. */
  readonly keeper?: Keeper;
  /** Whether another artifact at the output may be replaced. */
  readonly mayReplace?: boolean | undefined;
}

/**
 * The stage `probe`: the model's pooled states of this shard's rows. One shard alone is the artifact; several are joined by
 * the stage `assemble`, since they may end at the same time. Where the artifact or this shard is there, nothing is computed.
 * @param check throws where what is wanted can go nowhere, before anything is computed
 * @returns the artifact's directory, and whether it was there before
 */
export async function runProbe(
  engine: Engine,
  input: BuildInput,
  shardIndex = 0,
  check: (key: ProbeKey) => void = () => {},
): Promise<{ directory: string; reused: boolean }> {
  const model = openModel(input.model);
  try {
    if (input.kept !== undefined) checkKept(input.kept, model.architecture.depth);
    const checked = new CheckedFiles();
    const key = probeKey(model, input, checked);
    check(key);
    const directory = statesDirectory(input.work, key);
    const keeper = input.keeper ?? inPlace;
    await pullStates(directory, keeper);
    const shard: Shard = { index: shardIndex, count: input.probe.shards };
    const alone = shard.count === 1;
    if (readStates(directory) !== undefined || (!alone && hasShard(directory, shard)))
      return { directory, reused: true };
    if (alone) await probeAll(engine, model, key, { ...input, checked });
    else {
      writeShard(directory, shard, await probeShard(engine, model, shard, { ...input, checked }));
      await pushShard(directory, shard, keeper);
    }
    return { directory, reused: false };
  } finally {
    model.close();
  }
}

/** A build whose model's files were checked. */
export interface CheckedInput extends BuildInput {
  readonly checked: CheckedFiles;
}

/** The pooled states of all rows, by this process alone: the same artifact as shards are joined to. */
export async function probeAll(
  engine: Engine,
  model: Model,
  key: ProbeKey,
  input: CheckedInput,
): Promise<void> {
  const directory = statesDirectory(input.work, key);
  const shard: Shard = { index: 0, count: 1 };
  writeShard(directory, shard, await probeShard(engine, model, shard, input));
  await joinShards(directory, shard.count, key);
  await pushStates(directory, input.keeper ?? inPlace);
}

async function probeShard(
  engine: Engine,
  model: Model,
  shard: Shard,
  input: CheckedInput,
): Promise<PooledRows> {
  const decoder = new Decoder(engine, model.architecture, holdingLatest(weightsOf(model, { memory: 0 })));
  const { pooling, skipFirst } = input.probe;
  const options = { memory: input.memory / 2, shard, pooling, skipFirst, emit: input.emit };
  const examples = await probeExamples(model, engine, input);
  if (input.similarity !== undefined) {
    const { depth: layers, hidden: width } = model.architecture;
    checkComparable({ samples: examples.length, layers, width }, input.similarity.metric, input.memory);
  }
  const pooled = await probe(decoder, packForModel(examples, model.architecture), options);
  input.checked.checkUnchanged();
  return pooled;
}

/**
 * All that the pooled states depend on, read from the files themselves.
 * @param checked remembers the model's
 * @throws OffsiteError BadModel or BadData where they are not those that the spec names
 */
export function probeKey(
  model: Model,
  { model: path, data, probe: options, expected }: BuildInput,
  checked: CheckedFiles,
): ProbeKey {
  const { samples, maxLength, pooling, skipFirst } = options;
  const digest = digestOf(path, checked);
  if (expected?.model !== undefined && digest !== expected.model)
    throw badModel(`spec.model.digest: the digest of ${path} is ${digest}, expected ${expected.model}`);
  return {
    model: digest,
    tokenizer: tokenizerDigest(model),
    data: dataDigest(data.path, 'spec.probe.data', expected?.data),
    format: data.format,
    samples,
    maxLength,
    pooling,
    skipFirst,
  };
}

/** The sha256 of the tokenizer's files as a bundle carries them. */
export function tokenizerDigest(model: Model): string {
  const lines = model.tokenizer.files.map(({ name, bytes }) => `${sha256(bytes)}  ${name}\n`);
  return sha256(lines.join(''));
}

/** The first `samples` rows; of a choice or completion the prompt with the right answer. */
async function probeExamples(
  model: Model,
  engine: Engine,
  { data, probe: { samples, maxLength } }: BuildInput,
): Promise<Example[]> {
  const rows = await readRows(data.path, data.format, { limit: samples });
  return tokenize(rows, data.format, model.tokenizer, {
    maxLength,
    mode: 'train',
    file: data.path,
    cancelled: () => engine.isCancelled,
  });
}
