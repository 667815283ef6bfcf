// The key that a private training draws its rows and its noise by: made by chance, kept with its checkpoints, gone with them.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../../artifact/index.ts';

const form = /^[0-9a-f]{64}$/;

/** @param checkpoints of the training */
const keyFileOf = (checkpoints: string): string => join(checkpoints, 'noise-key');

/**
 * The training's key; made where there is none, or what is there is none. It is in no artifact and follows from nothing that
 * anybody else has: who knew it could take the noise away again.
 * @param checkpoints a directory of this training alone: a key that two trainings shared would cancel in their difference
 */
export function noiseKey(checkpoints: string): Uint8Array {
  const file = keyFileOf(checkpoints);
  const kept = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (form.test(kept)) return Buffer.from(kept, 'hex');
  const key = randomBytes(32);
  mkdirSync(checkpoints, { recursive: true });
  writeWhole(file, key.toString('hex'), { mode: 0o600 });
  return key;
}
