// Merging of an adapter into the full model, and the checkpoint that comes of it.
import { badModel } from '../api/index.ts';
import type { WrittenFiles } from '../artifact/index.ts';
import {
  type DType,
  decodeFloats,
  encodeFloats,
  type StoredDType,
  storedBytes,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from '../checkpoint/index.ts';
import { type Model, type Overlay, rewritten } from '../model/index.ts';
import type { PluggableAdapter } from './adapter.ts';

/**
 * theta = (1 - c) full + c plugged for every tensor of the adapter; what an inserted module adds counts c times. c = 1 takes
 * the adapter's values as they are. Nothing is kept: each is made when asked for.
 * @param saved as what it is released, so that what is evaluated is that: a model is rounded to the dtype that it stores, an
 * adapter holds float32
 * @throws OffsiteError BadModel when a value is too large for the model's dtype
 */
export function mergedTensors(
  model: Model,
  adapter: Overlay & Partial<Pick<PluggableAdapter, 'scaled'>>,
  coefficient: number,
  saved: 'model' | 'adapter' = 'model',
): Overlay {
  return {
    has: (name) => adapter.has(name),
    inserted: (layer) => adapter.inserted?.(layer) ?? {},
    get(name, into) {
      const plugged = adapter.get(name, into);
      if (plugged === undefined) return undefined;
      const stored = storedFor(model, name);
      if (stored === undefined)
        return adapter.scaled?.has(name) ? plugged.map((value) => coefficient * value) : plugged;
      const full = coefficient === 1 ? undefined : model.read(stored.name);
      const mixed =
        full === undefined
          ? plugged
          : full.map((value, i) => (1 - coefficient) * value + coefficient * (plugged[i] as number));
      const { dtype } = stored;
      if (saved === 'adapter' || !isHalf(dtype)) return mixed;
      const rounded = decodeFloats(encodeFloats(mixed, dtype), dtype);
      if (!rounded.every(Number.isFinite))
        throw badModel(
          `adapter: tensor ${name} holds a value that is too large for the model's ${dtype}; train with a lower learning rate`,
        );
      return rounded;
    },
  };
}

const isHalf = (dtype: DType): dtype is 'F16' | 'BF16' => dtype === 'F16' || dtype === 'BF16';

/** Whether the model stores weights that the adapter changes in half precision, so that it matters as what they are saved. */
export const roundsChanges = (model: Model, { changed }: Pick<PluggableAdapter, 'changed'>): boolean =>
  changed.some((name) => {
    const stored = storedFor(model, name);
    return stored !== undefined && isHalf(stored.dtype);
  });

/** The model's tensor in whose place one of the plugged-in model stands; none for an inserted module. */
export function storedFor({ architecture, tensors }: Model, name: string): TensorInfo | undefined {
  const { head } = architecture.head;
  return tensors.get(head !== undefined && name === head.untied ? head.name : name);
}

/** Bytes after which a checkpoint goes on in another shard. */
const shardBytes = 2_000_000_000;

/**
 * Writes the plugged-in model in the hub's layout: config.json, tokenizer files, model.safetensors or its shards, and what the
 * model's users need beside them.
 * Tensors that are not replaced keep their bytes; memory is bounded by the largest tensor. What does not run is left behind:
 * nothing measured it. A tied head that was trained becomes a tensor of its own, and config.json says so.
 */
export function savePluggedIn(files: WrittenFiles, model: Model, replaced: Overlay): void {
  const head = ownHead(model, replaced);
  const running = [...model.tensors.values()].filter(({ name }) => model.named.has(name));
  const stored = head === undefined ? running : [...running, head];
  const tensors = stored.map((tensor) => toWrite(tensor, model, replaced));
  const config = head === undefined ? model.configText : untied(model);
  files.write('config.json', config);
  for (const companion of model.companions) companion.copy(files);
  for (const { name, bytes } of model.tokenizer.released.files) files.write(name, bytes);
  const shards = shardsOf(tensors);
  if (shards.length === 1) {
    files.add('model.safetensors', (path) => writeSafetensors(path, tensors));
    return;
  }
  const shardOf: [tensor: string, file: string][] = [];
  shards.forEach((shard, i) => {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    files.add(name, (path) => writeSafetensors(path, shard));
    for (const tensor of shard) shardOf.push([tensor.name, name]);
  });
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0) },
    weight_map: Object.fromEntries(shardOf),
  };
  files.write('model.safetensors.index.json', `${JSON.stringify(index, null, 2)}\n`);
}

/** A tensor in the dtype that the full model has it in. */
function toWrite({ name, shape, dtype }: TensorInfo, model: Model, replaced: Overlay): TensorToWrite {
  const stored = dtype as StoredDType;
  const bytes = () => {
    const values = replaced.get(name);
    return values === undefined ? model.readBytes(name) : encoded(values, stored);
  };
  return { name, shape, dtype: stored, bytes };
}

/** The tensor that a tied head becomes where the overlay has it. */
function ownHead(model: Model, replaced: Overlay): TensorInfo | undefined {
  const name = model.architecture.head['head']?.untied;
  if (name === undefined || !replaced.has(name)) return undefined;
  return { ...(storedFor(model, name) as TensorInfo), name };
}

/** config.json of the model with a head of its own, written as it was otherwise. */
function untied({ config, configText }: Model): string {
  const field = 'tie_word_embeddings';
  if (!(field in config)) return configText.replace('{', `{\n  "${field}": false,`);
  return rewritten(configText, (name, written) => (name === field && written === 'true' ? 'false' : written));
}

function encoded(values: Float32Array, dtype: StoredDType): Uint8Array {
  if (dtype === 'F64') return new Uint8Array(Float64Array.from(values).buffer);
  return encodeFloats(values, dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32');
}

function shardsOf(tensors: readonly TensorToWrite[]): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes > 0 && bytes + storedBytes(tensor) > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)?.push(tensor);
    bytes += storedBytes(tensor);
  }
  return shards;
}

const number = (shard: number) => String(shard).padStart(5, '0');
