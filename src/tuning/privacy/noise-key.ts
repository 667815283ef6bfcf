// The key that a private training draws its rows and its noise by: made by chance, kept with its checkpoints, gone with them.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { boundedBytes, isThere, writeWhole } from '../../artifact/index.ts';

const form = /^[0-9a-f]{64}$/;

/** @param checkpoints of the training */
const keyFileOf = (checkpoints: string): string => join(checkpoints, 'noise-key');

/**
 * The training's key; made where there is none, or what is there is none. It is in no artifact and follows from nothing that
 * anybody else has: who knew it could take the noise away again.
 * @param checkpoints a directory of this training alone: a key that two trainings shared would cancel in their difference
 */
export function noiseKey(checkpoints: string): Uint8Array {
  const kept = keptIn(checkpoints);
  if (kept !== undefined) return kept;
  const key = randomBytes(32);
  mkdirSync(checkpoints, { recursive: true });
  writeWhole(keyFileOf(checkpoints), key.toString('hex'), { mode: 0o600 });
  return key;
}

/**
 * Under its own key a training comes to the adapter that it came to before. Without it, to another of the same rows: who has
 * both knows more than either's epsilon tells.
 * @param made digest of what this very training has come to, where it came to an end
 * @throws OffsiteError BadSpec where it did, and its key is gone
 */
export function refuseOtherNoise(checkpoints: string, made: string | undefined, output: string): void {
  if (made === undefined || keptIn(checkpoints) !== undefined) return;
  throw badSpec(
    `spec.privacy: this very training was made and handed over as ${made}, which is not at ${output} any more, and nothing can draw its noise again by this spec; making it again costs its own epsilon beside the first: bring that adapter back, write the spec as it was where a run of it was cut off while it handed that over, or give the resource another name or spec.training.seed`,
  );
}

function keptIn(checkpoints: string): Uint8Array | undefined {
  const file = keyFileOf(checkpoints);
  if (!isThere(file)) return undefined;
  const bytes = boundedBytes(file, 64);
  const kept = typeof bytes === 'string' ? '' : Buffer.from(bytes).toString('latin1');
  return form.test(kept) ? Buffer.from(kept, 'hex') : undefined;
}
