import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileDigest } from '../artifact/index.ts';
import { encodeFloats, openCheckpoint, type TensorToWrite, writeSafetensors } from '../checkpoint/index.ts';
import type { Cursor } from '../data/index.ts';
import type { Emit } from '../progress/index.ts';
import type { Evaluation } from './evaluation.ts';
import type { Moments } from './optimiser.ts';

/** A trained tensor with its optimiser state; `best` are its values at the best step so far. */
export interface TrainedTensor extends Moments {
  /** In the full model. */
  name: string;
  shape: readonly number[];
  values: Float32Array;
  best: Float32Array;
}

export interface TrainingRecord {
  /** Steps done. */
  step: number;
  cursor: Cursor;
  /** Answer tokens trained on so far. */
  tokens: number;
  resumes: number;
  /** Training loss of each step, and what each evaluation found. */
  losses: number[];
  evaluations: Evaluation[];
  bestStep: number;
}

/** Everything that training needs to go on exactly where it was. */
export interface TrainingState {
  record: TrainingRecord;
  tensors: TrainedTensor[];
}

const parts = ['values', 'first', 'second', 'best'] as const;
const keep = 2;

/**
 * Saves the state as `step-N` below a directory, whole or not at all, and clears all but the last two.
 * @param identity digest of all that the result depends on: a checkpoint of other work is never resumed
 */
export function saveState(directory: string, identity: string, { record, tensors }: TrainingState): void {
  const name = `step-${String(record.step).padStart(8, '0')}`;
  const temporary = join(directory, `${name}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const stored: TensorToWrite[] = tensors.flatMap((tensor) =>
    parts.map((part) => ({
      name: `${part}/${tensor.name}`,
      dtype: 'F32' as const,
      shape: tensor.shape,
      bytes: () => encodeFloats(tensor[part], 'F32'),
    })),
  );
  writeSafetensors(join(temporary, 'state.safetensors'), stored);
  const sha256 = fileDigest(join(temporary, 'state.safetensors'));
  writeFileSync(join(temporary, 'state.json'), JSON.stringify({ identity, sha256, record }), { flush: true });
  rmSync(join(directory, name), { recursive: true, force: true });
  renameSync(temporary, join(directory, name));
  for (const old of saved(directory).slice(0, -keep))
    rmSync(join(directory, old), { recursive: true, force: true });
}

/**
 * Fills `state` from the newest whole checkpoint of the same work; false where there is none.
 * A damaged one is passed over with a warning, one of other work silently.
 */
export function restoreState(directory: string, identity: string, state: TrainingState, emit: Emit): boolean {
  for (const name of saved(directory).reverse()) {
    const path = join(directory, name);
    try {
      const stored = JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')) as {
        identity: string;
        sha256: string;
        record: TrainingRecord;
      };
      if (stored.identity !== identity) continue;
      const file = join(path, 'state.safetensors');
      if (fileDigest(file) !== stored.sha256) throw new Error('its sha256 is another one');
      const checkpoint = openCheckpoint(file);
      try {
        for (const tensor of state.tensors) {
          for (const part of parts) checkpoint.read(`${part}/${tensor.name}`, { into: tensor[part] });
        }
      } finally {
        checkpoint.close();
      }
      Object.assign(state.record, stored.record, { resumes: stored.record.resumes + 1 });
      return true;
    } catch (error) {
      const message = `checkpoint ${name} is damaged (${(error as Error).message}); the one before it is used`;
      emit({ type: 'warning', reason: 'CheckpointDamaged', message });
    }
  }
  return false;
}

function saved(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => /^step-\d+$/.test(name))
    .sort();
}
