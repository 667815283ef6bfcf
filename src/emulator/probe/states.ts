// Pooled states on disk: content-addressed, written in shards, joined when all are there.
import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { badModel, type Shard } from '../../api/index.ts';
import {
  canonicalJson,
  clearAt,
  clearBeside,
  isThere,
  type Keeper,
  openArtifact,
  peekManifest,
  sealArtifact,
  sha256,
  writeSharedArtifact,
} from '../../artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../checkpoint/index.ts';
import type { RowsKey } from '../observe/files.ts';
import type { States } from '../similarity/similarity.ts';
import type { PoolingOptions } from './pooling.ts';

/** All that pooled states depend on; its digest is their address, so that another K, strategy or sharing reuses them. */
export type ProbeKey = RowsKey & Required<PoolingOptions>;

/** Pooled vectors of some rows: for each layer a matrix [rows, width], its rows in the order of `rows`. */
export interface PooledRows {
  readonly rows: readonly number[];
  readonly width: number;
  readonly layers: readonly Float32Array[];
}

/** @param work the directory that all pooled states share: each has the digest of its key for a name */
export function statesDirectory(work: string, key: ProbeKey): string {
  return join(work, sha256(canonicalJson(key)).replace('sha256:', ''));
}

/** The pooled states of every layer, or undefined where they are not there yet. BadModel if they are damaged. */
export function readStates(directory: string): States[] | undefined {
  if (peekManifest(directory) === undefined) return undefined;
  openArtifact(directory, { kind: 'PooledStates' });
  const { rows, width, layers } = readRows(join(directory, 'states.safetensors'));
  return layers.map((values) => ({ samples: rows.length, width, values }));
}

/** Brings pooled states from their store, or the shards where they are not joined yet. */
export async function pullStates(directory: string, keeper: Keeper): Promise<void> {
  await keeper.pull(directory, { exact: true, sealed: true });
  if (peekManifest(directory) === undefined) await keeper.pull(shardsDirectory(directory), { exact: true });
}

/** Takes joined states to their store, and the shards that they were joined from out of it. */
export async function pushStates(directory: string, keeper: Keeper): Promise<void> {
  await keeper.push(directory, { exact: true });
  await keeper.push(shardsDirectory(directory), { exact: true });
}

export async function pushShard(directory: string, shard: Shard, keeper: Keeper): Promise<void> {
  await keeper.push(shardPath(directory, shard), { exact: true });
}

export const hasShard = (directory: string, shard: Shard): boolean => isThere(shardPath(directory, shard));

/** A shard's pooled rows, whole or not at all. */
export function writeShard(directory: string, shard: Shard, pooled: PooledRows): void {
  const path = shardPath(directory, shard);
  // Of its own: another build may probe the same at the same time.
  const temporary = `${path}.${randomUUID()}.partial`;
  unlessJoined(directory, () => {
    mkdirSync(dirname(path), { recursive: true });
    writeRows(temporary, pooled);
    renameSync(temporary, path);
  });
}

/**
 * Joins the shards into the artifact once all are there, and clears them away; true if the artifact is there.
 * Rows are sorted by their number, so that the artifact does not depend on how many shards it came from.
 */
export async function joinShards(directory: string, count: number, key: ProbeKey): Promise<boolean> {
  if (peekManifest(directory) !== undefined) {
    // Processes that were killed in the joining, or right after it, have left them.
    clearBeside(directory);
    clearAt(shardsDirectory(directory));
    return true;
  }
  const paths = Array.from({ length: count }, (_, index) => shardPath(directory, { index, count }));
  if (!paths.every((path) => isThere(path))) return false;
  const joined = unlessJoined(directory, () => sortedByRow(paths.map(readRows)));
  if (joined === undefined) return true;
  await writeSharedArtifact(directory, (temporary) => {
    writeRows(join(temporary, 'states.safetensors'), joined);
    const { model, tokenizer, data, ...options } = key;
    sealArtifact(temporary, {
      kind: 'PooledStates',
      madeFrom: { model, tokenizer, probe: data },
      hyperparameters: options,
    });
  });
  clearAt(shardsDirectory(directory));
  return true;
}

/** Does something with shards; undefined where another build joined them meanwhile, and cleared them away. */
function unlessJoined<T>(directory: string, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (peekManifest(directory) !== undefined) return undefined;
    throw error;
  }
}

const shardsDirectory = (directory: string) => `${directory}.shards`;
const shardPath = (directory: string, { index, count }: Shard) =>
  join(shardsDirectory(directory), `${index}-of-${count}.safetensors`);

function sortedByRow(parts: PooledRows[]): PooledRows {
  const places = parts.flatMap((part) => part.rows.map((row, place) => ({ row, part, place })));
  places.sort((a, b) => a.row - b.row);
  const { width, layers } = parts[0]!;
  return {
    rows: places.map(({ row }) => row),
    width,
    layers: layers.map((_, layer) => {
      const values = new Float32Array(places.length * width);
      places.forEach(({ part, place }, i) => {
        values.set(part.layers[layer]!.subarray(place * width, (place + 1) * width), i * width);
      });
      return values;
    }),
  };
}

function writeRows(path: string, { rows, width, layers }: PooledRows): void {
  const tensors = layers.map((values, layer) => ({
    name: layerName(layer),
    dtype: 'F32' as const,
    shape: [rows.length, width],
    bytes: () => encodeFloats(values, 'F32'),
  }));
  writeSafetensors(path, tensors, { rows: JSON.stringify(rows) });
}

function readRows(path: string): PooledRows {
  const file = openCheckpoint(path);
  try {
    const rows = JSON.parse(String(file.metadata['rows'])) as number[];
    const width = file.tensors.get(layerName(0))?.shape[1];
    if (width === undefined) throw badModel(`${path} holds no pooled states; remove it and probe again`);
    const layers = Array.from({ length: file.tensors.size }, (_, layer) => file.read(layerName(layer)));
    return { rows, width, layers };
  } finally {
    file.close();
  }
}

const layerName = (layer: number) => `layer.${layer}`;
