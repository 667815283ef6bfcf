// The way from a path to a checkpoint: which format lies there, in one file or in indexed shards.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badModel, mapOf } from '../api/index.ts';
import { type Files, onDisk, problemOfPath } from '../artifact/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { mostTensors } from './file.ts';
import { joined } from './joined.ts';
import { readJsonFile } from './json.ts';
import { openSafetensors } from './safetensors.ts';
import { openGgufs, openWholeGguf } from './split.ts';

const indexSchema = z.object({ weight_map: mapOf(z.string()) });
const whole = 'model.safetensors';
const indexName = 'model.safetensors.index.json';
/** Each is open at the same time; the largest models have some hundred. */
const mostShards = 1024;
const indexBounds = { bytes: 64 << 20, depth: 8, values: 2 * mostTensors };

/**
 * Opens a checkpoint: a .safetensors or .gguf file, or a directory that holds model.safetensors,
 * model.safetensors.index.json with its shards, or one GGUF model, whole or split.
 * @param files where they lie: only what is there is read
 * @throws OffsiteError BadModel naming the file; where another format lies there, how it is converted
 */
export function openCheckpoint(path: string, files: Files = onDisk): Checkpoint {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badModel(`${path}: there is no such file or directory`);
  if (!stat.isDirectory()) {
    if (path.endsWith('.safetensors')) return openSafetensors(path, files);
    if (path.endsWith('.gguf')) return openWholeGguf(path, files);
    throw badModel(`${path}: is neither .safetensors nor .gguf${conversion([path], '')}`);
  }
  const single = join(path, whole);
  if (files.has(single)) return openSafetensors(single, files);
  const index = join(path, indexName);
  if (files.has(index)) return openSharded(path, index, files);
  const names = files.names(path);
  const ggufs = ggufsAmong(names);
  if (ggufs.length > 0) return openGgufs(path, ggufs, files);
  const shards = names.filter((name) => name.endsWith('.safetensors'));
  if (shards.length > 0)
    throw badModel(
      `${path}: holds ${shards.length} .safetensors files, and no model.safetensors.index.json that says which tensors they hold`,
    );
  throw badModel(
    `${path}: holds no model.safetensors, model.safetensors.index.json or .gguf file${conversion(names, path)}`,
  );
}

/**
 * The files that `openCheckpoint` reads of a directory, by their names in it. An index must be in `files` before what it names is
 * asked for.
 * @param names of all files below the directory
 * @throws OffsiteError BadModel where the index is none
 */
export function* checkpointFiles(
  directory: string,
  names: readonly string[],
  files: Files,
): Generator<string, void, void> {
  if (names.includes(whole)) yield whole;
  else if (names.includes(indexName)) {
    yield indexName;
    const { shards } = readIndex(join(directory, indexName), files);
    yield* names.filter((name) => shards.includes(name));
  } else yield* ggufsAmong(names);
}

/** Of the directory itself, not of those below it. */
const ggufsAmong = (names: readonly string[]): string[] => names.filter((name) => /^[^/]+\.gguf$/.test(name));

/** Weights in formats of other frameworks, as the hub has them. */
const otherWeights =
  /(^|\/)(pytorch_model.*\.bin|consolidated.*\.pth|model.*\.(bin|pt|pth|ckpt)|tf_model.*\.h5|flax_model.*\.msgpack)(\.index\.json)?$/;

function conversion(names: readonly string[], directory: string): string {
  const found = names.find((name) => otherWeights.test(name));
  if (found === undefined) return '';
  const program =
    'import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; a, b = sys.argv[1:]; M.from_pretrained(a, torch_dtype="auto").save_pretrained(b); T.from_pretrained(a).save_pretrained(b)';
  return `; ${directory === '' ? 'it' : found} holds weights in a format whose reading may run code: convert them with transformers where you trust them: python -c '${program}' ${directory || 'DIRECTORY'} NEW_DIRECTORY`;
}

function openSharded(directory: string, index: string, files: Files): Checkpoint {
  const { weightMap, shards: names } = readIndex(index, files);
  const missing = names.filter((file) => !files.has(join(directory, file)));
  if (missing.length > 0)
    throw badModel(
      `${index}: shard ${missing[0]} is not there; ${missing.length} of ${names.length} are missing`,
    );
  const shards = new Map<string, Checkpoint>();
  try {
    for (const file of names) shards.set(file, openSafetensors(join(directory, file), files));
    const tensors = new Map<string, Checkpoint>();
    for (const [name, file] of Object.entries(weightMap)) {
      const shard = shards.get(file)!;
      if (!shard.tensors.has(name))
        throw badModel(`${index}: says that ${file} holds ${name}, but it does not`);
      tensors.set(name, shard);
    }
    // transformers goes through all that the shards hold, whatever the index says.
    for (const [file, shard] of shards)
      for (const name of shard.tensors.keys()) {
        const holder = tensors.get(name) ?? shard;
        if (holder !== shard)
          throw badModel(`${directory}: tensor ${name} lies in ${weightMap[name]} and in ${file}`);
        tensors.set(name, shard);
      }
    return joined(tensors, [...shards.values()], {}, index);
  } catch (error) {
    for (const shard of shards.values()) shard.close();
    throw error;
  }
}

/** Which shard holds each tensor, and all shards. */
function readIndex(index: string, files: Files): { weightMap: Record<string, string>; shards: string[] } {
  const parsed = indexSchema.safeParse(readJsonFile(index, indexBounds, files).value);
  if (!parsed.success)
    throw badModel(`${index}: is not JSON with a weight_map from tensor names to shard files`);
  const weightMap = parsed.data.weight_map;
  const shards = [...new Set(Object.values(weightMap))];
  if (shards.length > mostShards)
    throw badModel(`${index}: names ${shards.length} shards; at most ${mostShards} are read`);
  const outside = shards.find(
    (file) => problemOfPath(file) !== undefined || !/^[^/]+\.safetensors$/.test(file),
  );
  if (outside !== undefined)
    throw badModel(`${index}: shard ${outside} lies outside the directory, or is no .safetensors file`);
  return { weightMap, shards };
}
