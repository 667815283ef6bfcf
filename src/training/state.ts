// Checkpoints of training: saved atomically, verified, and resumed by the same work only.
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { withPath } from '../api/index.ts';
import {
  canonicalJson,
  clearAt,
  fileDigest,
  isThere,
  isUnanswered,
  namesToClear,
  readKeptJson,
  refuseOutside,
  sha256,
} from '../artifact/index.ts';
import { encodeFloats, openCheckpoint, type TensorToWrite, writeSafetensors } from '../checkpoint/index.ts';
import type { Cursor } from '../data/index.ts';
import type { Cell } from '../evaluation/index.ts';
import type { Emit } from '../progress/index.ts';
import type { Moments } from './optimiser.ts';

/** A trained tensor with its optimiser state; `best` are its values at the best step so far, or `values` where the last is. */
export interface TrainedTensor extends Moments {
  /** In the full model. */
  name: string;
  shape: readonly number[];
  values: Float32Array;
  best: Float32Array;
  /** Whether the element at a place trains, where others stay as they are; all when absent. */
  trains?: (place: number) => boolean;
  /** Whether it is a weight that the model has: its change is what it is away from where it started. */
  isWeight?: boolean;
}

/** What the model is worth on the validation rows after some steps. */
export interface Evaluation {
  step: number;
  /** Mean negative log-likelihood of an answer token. */
  loss: number;
  cell: Cell;
}

export interface TrainingRecord {
  /** Steps done. */
  step: number;
  cursor: Cursor;
  /** Answer tokens trained on so far. */
  tokens: number;
  resumes: number;
  /** Training loss of each step, NaN of one without rows, and what each evaluation found. */
  losses: number[];
  evaluations: Evaluation[];
  bestStep: number;
  /** Of a training that hides its rows: how many gradients of rows it has computed, how many of these were clipped, and how many counted as zero. */
  rows?: { taken: number; clipped: number; notFinite?: number | undefined };
}

/** Everything that training needs to go on exactly where it was. */
export interface TrainingState {
  record: TrainingRecord;
  tensors: TrainedTensor[];
}

const parts = ['values', 'first', 'second', 'best'] as const;
const keep = 2;

const partsOf = ({ best, values }: TrainedTensor) =>
  parts.filter((part) => part !== 'best' || best !== values);

/** What state.json holds: the record, whose work it is, and what the files must be. */
interface StoredState {
  identity: string;
  /** Of state.safetensors. */
  sha256: string;
  record: TrainingRecord;
}

/**
 * Saves the state as `step-N` below a directory, whole or not at all, and clears all but the last two.
 * @param identity digest of all that the result depends on: a checkpoint of other work is never resumed
 */
export function saveState(directory: string, identity: string, { record, tensors }: TrainingState): void {
  const name = `step-${String(record.step).padStart(8, '0')}`;
  const temporary = join(directory, `${name}.${randomUUID()}.partial`);
  refuseOutside(temporary);
  clearPartial(directory);
  mkdirSync(temporary, { recursive: true });
  const stored: TensorToWrite[] = tensors.flatMap((tensor) =>
    partsOf(tensor).map((part) => ({
      name: `${part}/${tensor.name}`,
      dtype: 'F32' as const,
      shape: tensor.shape,
      bytes: () => encodeFloats(tensor[part], 'F32'),
    })),
  );
  try {
    writeSafetensors(join(temporary, 'state.safetensors'), stored);
    const text = sealed({ identity, sha256: fileDigest(join(temporary, 'state.safetensors')), record });
    writeFileSync(join(temporary, 'state.json'), text, { flag: 'wx', flush: true });
  } catch (error) {
    clearAt(temporary);
    throw error;
  }
  refuseOutside(temporary);
  clearAt(join(directory, name));
  renameSync(temporary, join(directory, name));
  const own = saved(directory).filter((other) => identityOf(join(directory, other)) === identity);
  const kept = own.slice(-keep);
  for (const old of saved(directory).filter((other) => !kept.includes(other))) clearAt(join(directory, old));
}

/**
 * Where a training is saved, of a resource's checkpoints: another one of the same resource neither sees nor clears it
 * while it is saved.
 */
export const checkpointsOfTraining = (checkpoints: string, identity: string): string =>
  join(checkpoints, identity.slice('sha256:'.length, 'sha256:'.length + 16));

/** Clears the checkpoints that the same resource's other trainings, of an earlier spec, have left beside a directory. */
export function clearOthers(directory: string): void {
  const parent = dirname(directory);
  for (const name of namesToClear(parent)) if (name !== basename(directory)) clearAt(join(parent, name));
}

/**
 * Fills `state` from the newest whole checkpoint of the same work; false where there is none.
 * A damaged one is passed over with a warning, one of other work silently.
 */
export function restoreState(directory: string, identity: string, state: TrainingState, emit: Emit): boolean {
  for (const name of saved(directory).reverse()) {
    const path = join(directory, name);
    try {
      const stored = unsealed(readKeptJson(join(path, 'state.json')));
      if (stored.identity !== identity) continue;
      const file = join(path, 'state.safetensors');
      if (fileDigest(file) !== stored.sha256)
        throw new Error('the sha256 of state.safetensors is another one');
      const checkpoint = openCheckpoint(file);
      try {
        const places = state.tensors.flatMap((tensor) =>
          partsOf(tensor).map((part) => ({ name: `${part}/${tensor.name}`, into: tensor[part] })),
        );
        // All or nothing: what was not restored must start as it is.
        const missing = places.find(({ name }) => !checkpoint.tensors.has(name));
        if (missing !== undefined) throw new Error(`there is no ${missing.name} in it`);
        for (const { name, into } of places) checkpoint.read(name, { into });
      } finally {
        checkpoint.close();
      }
      Object.assign(state.record, stored.record);
      return true;
    } catch (error) {
      if (isUnanswered(error)) throw withPath(error, path);
      const message = `checkpoint ${path} is damaged (${(error as Error).message}); training goes on from the one before it, or from the start`;
      emit({ type: 'warning', reason: 'CheckpointDamaged', message });
    }
  }
  return false;
}

/** state.json with a digest over itself. */
function sealed(stored: StoredState): string {
  return JSON.stringify({ ...stored, seal: sha256(canonicalJson(stored)) });
}

/** @throws Error when the value is not what `sealed` wrote */
function unsealed(value: unknown): StoredState {
  const { seal, ...stored } = value as StoredState & { seal: string };
  if (seal !== sha256(canonicalJson(stored))) throw new Error('state.json is not what was written');
  // The standard error of a single row is NaN, and so is the loss of a step without rows, which JSON writes as null.
  const record = JSON.stringify(stored.record);
  const asNumber = (_: string, value: unknown) => (value === null ? Number.NaN : value);
  return { ...stored, record: JSON.parse(record, asNumber) as TrainingRecord };
}

function identityOf(checkpoint: string): string | undefined {
  try {
    return unsealed(readKeptJson(join(checkpoint, 'state.json'))).identity;
  } catch (error) {
    if (isUnanswered(error)) throw withPath(error, checkpoint);
    return undefined;
  }
}

/** What a process that was killed while it wrote has left. */
function clearPartial(directory: string): void {
  if (!isThere(directory)) return;
  for (const name of namesToClear(directory).filter((entry) => entry.endsWith('.partial')))
    clearAt(join(directory, name));
}

function saved(directory: string): string[] {
  if (!isThere(directory)) return [];
  return readdirSync(directory)
    .filter((name) => /^step-\d+$/.test(name))
    .sort();
}
