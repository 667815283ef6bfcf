// Opening a model: configuration, tensors and tokenizer are validated before anything is computed.
import { dirname, join } from 'node:path';
import { badModel } from '../api/index.ts';
import { type CheckedFiles, type HashOptions, hashFiles } from '../artifact/index.ts';
import {
  type Checkpoint,
  checkpointFiles,
  isReadable,
  openCheckpoint,
  type ReadOptions,
  readSettings,
  type Settings,
  type TensorInfo,
} from '../checkpoint/index.ts';
import { hasTokenizer, openTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { checkCoded, decodedView } from './coded.ts';
import { type Companion, companionsOf } from './companions.ts';
import { canonicalConfig, readableConfig } from './config-text.ts';
import { families } from './families/index.ts';
import type { Architecture, Family, Slot, Slots } from './family.ts';
import { hubView } from './gguf.ts';
import { checkStrays } from './strays.ts';

/** A model on disk: its architecture, its tensors under the hub's names, its tokenizer. */
export interface Model {
  readonly architecture: Architecture;
  /** config.json as the hub has it, without what names code to run; made from the metadata for GGUF. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The same as it is written: transformers tells 30.0 from 30. */
  readonly configText: string;
  /** The same as a bundle has it, whichever way it is written. */
  readonly canonicalConfig: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Those of them that run: all that a model which is made of this one has. */
  readonly named: ReadonlySet<string>;
  /** The elements as float32. @throws OffsiteError BadModel when the tensor is missing or holds NaN or infinity */
  read(name: string, options?: ReadOptions): Float32Array;
  /** The bytes in the dtype that `tensors` tells. */
  readBytes(name: string): Uint8Array;
  /** What lies beside weights, config.json and tokenizer and goes with them. */
  readonly companions: readonly Companion[];
  /** @throws OffsiteError BadModel where there is none */
  readonly tokenizer: Tokenizer;
  /** Its settings that name code for transformers to run, which are in nothing that is made of it: `file: field, ...`, a file each. */
  readonly leftOut: readonly string[];
  close(): void;
}

/** A model whose files were hashed before anything was read of them. */
export interface HashedModel extends Model {
  /** As `offsite digest` tells it. */
  readonly digest: string;
  /** @throws OffsiteError BadModel naming a file that is not what was hashed: what was read is not what the digest says */
  checkUnchanged(): void;
}

/** What a model must be. */
export interface ExpectedModel {
  readonly digest?: string | undefined;
  /** The field or option that says it. */
  readonly field?: string;
}

/**
 * Opens a model: a directory in the hub's layout, or a GGUF file (alone in its directory, or named). All its files are hashed at
 * first, and only what was hashed is opened; no link leads from what is only copied or hashed to another's file.
 * @throws OffsiteError BadModel naming the file, field or tensor, or the digest that was expected
 */
export function openModel(
  path: string,
  { digest: expected, field = 'spec.model.digest' }: ExpectedModel = {},
): HashedModel {
  const { digest, files } = hashFiles(path, { parsed: parsedFiles });
  if (expected !== undefined && digest !== expected)
    throw badModel(`${field}: the digest of ${path} is ${digest}, expected ${expected}`);
  return Object.assign(openHashed(path, files), { digest, checkUnchanged: () => files.checkUnchanged() });
}

/**
 * The files of a model's directory that opening it reads as what they are, or refuses: weights, their index, config.json and
 * tokenizer.json. A text or another's rows pass for none of them.
 */
export const parsedFiles: NonNullable<HashOptions['parsed']> = function* (directory, names, files) {
  const weights: string[] = [];
  for (const name of checkpointFiles(directory, names, files)) {
    weights.push(name);
    yield name;
  }
  // Beside GGUF nothing reads it.
  const isGguf = weights.some((name) => name.endsWith('.gguf'));
  yield* names.filter((name) => name === 'tokenizer.json' || (name === 'config.json' && !isGguf));
};

export interface OpenOptions {
  /** The blocks whose tensors must be there: all of the model's own when absent; an emulator's bundle has others. */
  readonly blocks?: (architecture: Architecture) => Iterable<Slots>;
}

/**
 * Opens a model of files that were hashed.
 * @throws OffsiteError BadModel naming the file, field or tensor
 */
export function openHashed(
  path: string,
  files: CheckedFiles,
  { blocks = eachBlock }: OpenOptions = {},
): Model {
  const checkpoint = openCheckpoint(path, files);
  try {
    // What lies beside a file that is named alone is not the model's, and not in its digest.
    const isFile = files.has(path);
    const directory = isFile ? dirname(path) : path;
    if (!isFile) checkNoAdapter(directory, files);
    const gguf = 'general.architecture' in checkpoint.metadata ? hubView(checkpoint, families) : undefined;
    const stored: Checkpoint = gguf?.checkpoint ?? checkpoint;
    const { config, text, leftOut } = gguf
      ? { config: gguf.config, text: undefined, leftOut: [] }
      : readConfig(path, files);
    const family = familyOf(config);
    const architecture = parse(family, config, stored);
    const slots = checkTensors(path, architecture, stored, blocks(architecture));
    const coded = slots.filter(({ quantised }) => quantised !== undefined);
    const view = coded.length === 0 ? stored : decodedView(path, stored, coded);
    const named = new Set(slots.map(({ name }) => name));
    gguf?.checkAllNamed(named);
    checkStrays(path, view, { slots, named });
    const open = () =>
      openTokenizer(directory, { checkpoint, rows: architecture.vocabulary, files, model: config });
    let tokenizer = hasTokenizer(directory, checkpoint, files) ? open() : undefined;
    // Before anything is computed, though most of it is copied when all is done.
    const companions = isFile ? [] : companionsOf(directory, files);
    return {
      architecture,
      config,
      configText: text ?? readableConfig(config, family.floats),
      get canonicalConfig() {
        return canonicalConfig(config, family.floats);
      },
      tensors: view.tensors,
      named,
      read(name, options) {
        const values = view.read(name, options);
        checkFinite(values, name);
        return values;
      },
      readBytes: (name) => view.readBytes(name),
      companions,
      get tokenizer() {
        tokenizer ??= open();
        return tokenizer;
      },
      get leftOut() {
        const settings = [
          { name: 'config.json', leftOut },
          { name: 'tokenizer_config.json', leftOut: tokenizer?.leftOut ?? [] },
          ...companions,
        ];
        return settings.flatMap(({ name, leftOut: fields }) =>
          fields.length === 0 ? [] : [`${name}: ${fields.join(', ')}`],
        );
      },
      close: () => checkpoint.close(),
    };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

function readConfig(
  path: string,
  files: CheckedFiles,
): Omit<Settings, 'value'> & { config: Record<string, unknown> } {
  if (files.has(path))
    throw badModel(
      `${path}: is no model alone, and what lies beside it is not in its digest: name the directory that holds its config.json too`,
    );
  const file = join(path, 'config.json');
  if (!files.has(file)) throw badModel(`${path}: holds no config.json`);
  const { value, ...written } = readSettings(file, { files });
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badModel(`${file}: is not a JSON object`);
  const config = value as Record<string, unknown>;
  checkNotQuantised(file, config);
  return { config, ...written };
}

/** An adapter that lies in the model's directory: transformers opens the model with it. @throws OffsiteError BadModel */
function checkNoAdapter(directory: string, files: CheckedFiles): void {
  const file = join(directory, 'adapter_config.json');
  if (files.has(file))
    throw badModel(
      `${file}: is an adapter in the model's directory, and with PEFT transformers opens the model with it; merge it into the weights, or take it out`,
    );
}

/** Weights that another library packed would be read as what they are not. @throws OffsiteError BadModel naming the method */
function checkNotQuantised(file: string, config: Readonly<Record<string, unknown>>): void {
  for (const field of ['quantization_config', 'compression_config']) {
    const settings = config[field];
    if (settings === undefined || settings === null) continue;
    const method = (settings as Record<string, unknown>)['quant_method'];
    const named =
      typeof method === 'string' && /^[\w.-]{1,40}$/.test(method) ? method : 'a method it does not name';
    throw badModel(
      `${file}: ${field}: the weights are quantised (${named}); take the model in float32, float16 or bfloat16, or as GGUF`,
    );
  }
}

/** @throws OffsiteError BadModel */
function familyOf(config: Readonly<Record<string, unknown>>): Family {
  const names = Array.isArray(config['architectures']) ? (config['architectures'] as unknown[]) : [];
  const family = families.find(({ architectures }) => architectures.includes(String(names[0])));
  if (family === undefined) {
    const supported = families.flatMap(({ architectures }) => architectures);
    throw badModel(
      `config.json: architectures: ${String(names[0] ?? 'missing')} is not supported (${supported.join(', ')} are)`,
    );
  }
  checkModelType(config['model_type'], family);
  return family;
}

function parse(
  family: Family,
  config: Readonly<Record<string, unknown>>,
  { tensors }: Checkpoint,
): Architecture {
  const architecture = family.parse(config, (name) => tensors.has(name));
  checkSizes(architecture);
  return architecture;
}

/** transformers goes by model_type, and opens no model without; where there is none, no two readings differ. @throws OffsiteError BadModel */
function checkModelType(written: unknown, { modelType, architectures: [name] }: Family): void {
  if (written === undefined || written === modelType) return;
  throw badModel(
    `config.json: model_type ${String(written).slice(0, 60)} and architectures ${name} are of two families (${modelType} is the model_type of ${name}): transformers reads the model by model_type`,
  );
}

/** Several times what the deepest and the widest have: more weights of a map in factors cost next to nothing. */
const mostLayers = 1024;
const mostHidden = 65_536;
const mostTokens = 2 ** 22;

/** Models' heads have 64 to 256 numbers, and their widest maps give 2 to 20 times the hidden state's; of the largest 128 and 10^5. */
const mostHeads = (hidden: number) => Math.min(1024, Math.max(64, Math.floor(hidden / 8)));
const mostOutputs = (hidden: number) => Math.min(2 ** 20, Math.max(4096, 64 * hidden));

/**
 * What a call takes grows with heads and a map's outputs more than with weights, of which a narrow model has few for each: a
 * small file could ask for any memory. A bundle has weights of some layers only, whatever depth it claims.
 */
function checkSizes(architecture: Architecture): void {
  const { depth, hidden, vocabulary, widths } = architecture;
  const sizes: [number, string, number][] = [
    [depth, 'layers', mostLayers],
    [hidden, 'numbers of a hidden state', mostHidden],
    [vocabulary, 'tokens of the vocabulary', mostTokens],
  ];
  for (const [size, what, most] of sizes)
    if (size > most)
      throw badModel(`config.json: ${size} ${what} are more than any model has (${most} at most)`);
  const wrong = (what: string, most: number) =>
    badModel(`config.json: ${what} are more than any model of width ${hidden} has (${most} at most)`);
  const heads = mostHeads(hidden);
  if (widths.heads > heads) throw wrong(`${widths.heads} heads`, heads);
  const outputs = mostOutputs(hidden);
  for (const { name, shape, transposed } of Object.values(architecture.block(0))) {
    const given = shape.length === 2 ? (shape[transposed ? 1 : 0] as number) : 1;
    if (given > outputs) throw wrong(`${given} outputs of ${name}`, outputs);
  }
}

/** @returns the slots that run */
function checkTensors(
  path: string,
  architecture: Architecture,
  view: Checkpoint,
  blocks: Iterable<Slots>,
): Slot[] {
  const checked: Slot[] = [];
  const check = (slots: Slots) => {
    for (const slot of Object.values(slots)) {
      const { name, shape } = slot;
      checked.push(slot);
      if (slot.quantised !== undefined) {
        checkCoded(path, view, slot);
        continue;
      }
      const tensor = view.tensors.get(name);
      if (tensor === undefined)
        throw badModel(`${path}: has no tensor ${name}, which its config.json asks for`);
      if (tensor.shape.join() !== shape.join()) {
        throw badModel(`${path}: tensor ${name} is [${tensor.shape}], its config.json asks for [${shape}]`);
      }
      if (!isReadable(tensor.dtype))
        throw badModel(`${path}: tensor ${name} is ${tensor.dtype}; a weight must be F32, F16, BF16 or F64`);
    }
  };
  const { embedding, embedder, head } = architecture;
  for (const slots of [{ embedding }, embedder?.slots ?? {}, head]) check(slots);
  for (const slots of blocks) check(slots);
  return checked;
}

/** None before it is asked for: config.json may claim any depth, and the first layer amiss ends it. */
function* eachBlock(architecture: Architecture): Generator<Slots> {
  for (let layer = 0; layer < architecture.depth; layer++) yield architecture.block(layer);
}

function checkFinite(values: Float32Array, name: string): void {
  // A sum is finite unless one element is not, or the sum itself overflows; only then each is looked at.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] as number;
  if (Number.isFinite(sum)) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw badModel(`tensor ${name} holds ${values[at]} (element ${at}); a weight must be finite`);
}
