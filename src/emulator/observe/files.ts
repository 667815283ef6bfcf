// Observations on disk: content-addressed beside the pooled states, written in shards, joined when all are there.

import { join } from 'node:path';
import type { Shard } from '../../api/index.ts';
import {
  canonicalJson,
  clearAt,
  clearBeside,
  type Keeper,
  openArtifact,
  peekManifest,
  sealArtifact,
  sha256,
  writeSharedArtifact,
} from '../../artifact/index.ts';
import type { Half } from '../../graph/index.ts';
import { includes, type ObservationName, observationNames } from './observations.ts';
import { joinSums } from './summed-layers.ts';

/** The rows of a probe set, as a model's tokens, and how they are computed: all that observations depend on. */
export interface RowsKey {
  /** Digests. */
  readonly model: string;
  readonly tokenizer: string;
  readonly data: string;
  readonly format: string;
  readonly samples: number;
  readonly maxLength: number;
  /** Absent in float32. */
  readonly precision?: Half;
}

/** What is observed of which rows: the address of what was found. */
export interface ObservationKey extends RowsKey {
  readonly observed: ObservationName;
}

/** @param work the directory that all observations share: each has the digest of its key for a name */
export function observationsDirectory(work: string, key: ObservationKey): string {
  const { model, tokenizer, data, format, samples, maxLength, observed, precision } = key;
  const address = {
    model,
    tokenizer,
    data,
    format,
    samples,
    maxLength,
    observed,
    ...(precision && { precision }),
  };
  return join(work, sha256(canonicalJson(address)).replace('sha256:', ''));
}

/** Where what is asked for lies, alone or with more; undefined where it is not there yet. */
export function foundObservations(work: string, key: ObservationKey): string | undefined {
  return directories(work, key).find((directory) => peekManifest(directory) !== undefined);
}

/** Of this observation, and of each that has it with it. */
const directories = (work: string, key: ObservationKey): string[] =>
  observationNames
    .filter((name) => includes(name, key.observed))
    .map((observed) => observationsDirectory(work, { ...key, observed }));

/** Brings observations from their store, or the shards where they are not joined yet. */
export async function pullObservations(work: string, key: ObservationKey, keeper: Keeper): Promise<void> {
  for (const directory of directories(work, key)) {
    await keeper.pull(directory, { exact: true, sealed: true });
    if (peekManifest(directory) !== undefined) return;
  }
  await keeper.pull(shardsDirectory(observationsDirectory(work, key)), { exact: true });
}

/** Takes joined observations to their store, and the shards that they were joined from out of it. */
export async function pushObservations(directory: string, keeper: Keeper): Promise<void> {
  await keeper.push(directory, { exact: true });
  await keeper.push(shardsDirectory(directory), { exact: true });
}

export const hasObservedShard = (directory: string, shard: Shard): boolean =>
  peekManifest(shardPath(directory, shard)) !== undefined;

/** Observations of all rows, whole or not at all. @param fill leaves every layer's rounded sums there */
export async function writeObservations(
  directory: string,
  key: ObservationKey,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await writeSealed(directory, key, fill);
  clearAt(shardsDirectory(directory));
}

/** A shard's sums, whole or not at all; none where another build joined its own of the same rows meanwhile, which is what they are for. */
export async function writeObservedShard(
  directory: string,
  shard: Shard,
  key: ObservationKey,
  { fill, keeper }: { fill: (temporary: string) => Promise<void>; keeper: Keeper },
): Promise<void> {
  const path = shardPath(directory, shard);
  await unlessJoined(directory, async () => {
    await writeSealed(path, key, fill);
    await keeper.push(path, { exact: true });
  });
}

/**
 * Joins the shards into the artifact once all are there, and clears them away; true if the artifact is there.
 * What becomes of the sums does not depend on how many shards they came in.
 */
export async function joinObservations(
  directory: string,
  count: number,
  key: ObservationKey,
): Promise<boolean> {
  if (peekManifest(directory) === undefined) {
    const shards = Array.from({ length: count }, (_, index) => ({ index, count }));
    if (!shards.every((shard) => hasObservedShard(directory, shard))) return false;
    const paths = shards.map((shard) => shardPath(directory, shard));
    await unlessJoined(directory, () =>
      writeSealed(directory, key, async (temporary) => {
        for (const path of paths) openArtifact(path, { kind: 'Observations' });
        joinSums(paths, temporary);
      }),
    );
  } else clearBeside(directory);
  clearAt(shardsDirectory(directory));
  return true;
}

/** Does something with shards, which may be gone where another build joined its own meanwhile: it cleared them away. */
async function unlessJoined(directory: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (peekManifest(directory) === undefined) throw error;
  }
}

async function writeSealed(
  directory: string,
  { model, tokenizer, data, format, samples, maxLength, observed, precision }: ObservationKey,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  await writeSharedArtifact(directory, async (temporary) => {
    await fill(temporary);
    sealArtifact(temporary, {
      kind: 'Observations',
      madeFrom: { model, tokenizer, probe: data },
      hyperparameters: { format, samples, maxLength, observed, ...(precision && { precision }) },
    });
  });
}

const shardsDirectory = (directory: string) => `${directory}.shards`;
const shardPath = (directory: string, { index, count }: Shard) =>
  join(shardsDirectory(directory), `${index}-of-${count}`);
