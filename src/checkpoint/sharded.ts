import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badModel } from '../api/index.ts';
import type { Checkpoint, ReadOptions, TensorInfo } from './checkpoint.ts';
import { openGguf } from './gguf.ts';
import { openSafetensors } from './safetensors.ts';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Opens a checkpoint: a .safetensors or .gguf file, or a directory that holds model.safetensors,
 * model.safetensors.index.json with its shards, or exactly one .gguf file.
 * @throws OffsiteError BadModel naming the file
 */
export function openCheckpoint(path: string): Checkpoint {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badModel(`${path}: there is no such file or directory`);
  if (stat.isFile()) {
    if (path.endsWith('.safetensors')) return openSafetensors(path);
    if (path.endsWith('.gguf')) return openGguf(path);
    throw badModel(`${path}: is neither .safetensors nor .gguf`);
  }
  const single = join(path, 'model.safetensors');
  if (existsSync(single)) return openSafetensors(single);
  const index = join(path, 'model.safetensors.index.json');
  if (existsSync(index)) return openSharded(path, index);
  const ggufs = readdirSync(path).filter((name) => name.endsWith('.gguf'));
  if (ggufs.length === 1) return openGguf(join(path, ggufs[0] as string));
  if (ggufs.length > 1) throw badModel(`${path}: holds ${ggufs.length} .gguf files; name one of them`);
  throw badModel(`${path}: holds no model.safetensors, model.safetensors.index.json or .gguf file`);
}

function openSharded(directory: string, index: string): Checkpoint {
  const weightMap = readIndex(index);
  const shards = new Map<string, Checkpoint>();
  const close = () => {
    for (const shard of shards.values()) shard.close();
  };
  const tensors = new Map<string, TensorInfo>();
  try {
    for (const [name, file] of Object.entries(weightMap)) {
      if (file.includes('/') || file.includes('\\'))
        throw badModel(`${index}: shard ${file} lies outside the directory`);
      if (!shards.has(file)) shards.set(file, openSafetensors(join(directory, file)));
      const tensor = shards.get(file)?.tensors.get(name);
      if (tensor === undefined) throw badModel(`${index}: says that ${file} holds ${name}, but it does not`);
      tensors.set(name, tensor);
    }
  } catch (error) {
    close();
    throw error;
  }
  const shardOf = (name: string): Checkpoint => {
    const shard = shards.get(weightMap[name] ?? '');
    if (shard === undefined) throw badModel(`${index}: has no tensor ${name}`);
    return shard;
  };
  return {
    tensors,
    metadata: {},
    read: (name: string, options?: ReadOptions) => shardOf(name).read(name, options),
    readBytes: (name: string) => shardOf(name).readBytes(name),
    close,
  };
}

function readIndex(index: string): Record<string, string> {
  try {
    return indexSchema.parse(JSON.parse(readFileSync(index, 'utf8'))).weight_map;
  } catch {
    throw badModel(`${index}: is not JSON with a weight_map from tensor names to shard files`);
  }
}
