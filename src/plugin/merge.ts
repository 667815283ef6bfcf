import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import {
  decodeFloats,
  encodeFloats,
  type StoredDType,
  storedBytes,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from '../checkpoint/index.ts';
import type { Model, Overlay } from '../model/index.ts';

/**
 * theta = (1 - c) full + c plugged for every tensor of the adapter, rounded to the dtype that the model stores, so that
 * what is evaluated is what is saved. c = 1 takes the adapter's values as they are. Nothing is kept: each is made when asked for.
 * @throws OffsiteError BadModel when a value is too large for the model's dtype
 */
export function mergedTensors(model: Model, adapter: Overlay, coefficient: number): Overlay {
  return {
    get(name, into) {
      const plugged = adapter.get(name, into);
      if (plugged === undefined) return undefined;
      const full = coefficient === 1 ? undefined : model.read(name);
      const mixed =
        full === undefined
          ? plugged
          : full.map((value, i) => (1 - coefficient) * value + coefficient * (plugged[i] as number));
      const { dtype } = model.tensors.get(name) as TensorInfo;
      if (dtype !== 'F16' && dtype !== 'BF16') return mixed;
      const rounded = decodeFloats(encodeFloats(mixed, dtype), dtype);
      if (!rounded.every(Number.isFinite))
        throw badModel(
          `adapter: tensor ${name} holds a value that is too large for the model's ${dtype}; train with a lower learning rate`,
        );
      return rounded;
    },
  };
}

/** Bytes after which a checkpoint goes on in another shard. */
const shardBytes = 2_000_000_000;

/**
 * Writes the plugged-in model in the hub's layout: config.json, tokenizer files, model.safetensors or its shards.
 * Tensors that are not replaced keep their bytes; memory is bounded by the largest tensor.
 */
export function savePluggedIn(directory: string, model: Model, replaced: Overlay): void {
  mkdirSync(directory, { recursive: true });
  const tensors = [...model.tensors.values()].map((tensor) => toWrite(tensor, model, replaced));
  writeFileSync(join(directory, 'config.json'), model.configText);
  for (const { name, bytes } of model.tokenizer.files) writeFileSync(join(directory, name), bytes);
  const shards = shardsOf(tensors);
  if (shards.length === 1) {
    writeSafetensors(join(directory, 'model.safetensors'), tensors);
    return;
  }
  const weightMap: Record<string, string> = {};
  shards.forEach((shard, i) => {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    writeSafetensors(join(directory, name), shard);
    for (const tensor of shard) weightMap[tensor.name] = name;
  });
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0) },
    weight_map: weightMap,
  };
  writeFileSync(join(directory, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

/** A tensor in the dtype that the full model has it in; old checkpoints hold masks and positions beside weights. */
function toWrite({ name, shape, dtype }: TensorInfo, model: Model, replaced: Overlay): TensorToWrite {
  const stored = dtype as StoredDType;
  const bytes = () => {
    const values = replaced.get(name);
    return values === undefined ? model.readBytes(name) : encoded(values, stored);
  };
  return { name, shape, dtype: stored, bytes };
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
