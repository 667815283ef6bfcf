import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inPlace } from '../../../src/artifact/index.ts';
import {
  foundObservations,
  hasObservedShard,
  type ObservationKey,
  observationsDirectory,
  writeObservations,
  writeObservedShard,
} from '../../../src/emulator/observe/files.ts';

const digest = `sha256:${'0'.repeat(64)}`;
const key: ObservationKey = {
  ...{ model: digest, tokenizer: digest, data: digest, format: 'text' },
  ...{ samples: 8, maxLength: 64, observed: 'inputs' },
};
let work: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'offsite-shards-'));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

const sums = (directory: string, name: string) => {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), 'sums');
};

test('a shard whose rows another build has observed meanwhile is not needed any more', async () => {
  const directory = observationsDirectory(work, key);
  const fill = async (temporary: string) => {
    sums(temporary, 'forward-0000.safetensors');
    await writeObservations(directory, key, async (other) => sums(other, 'forward-0000.safetensors'));
    writeFileSync(join(temporary, 'forward-0001.safetensors'), 'sums');
  };
  const shard = { index: 0, count: 2 };
  await writeObservedShard(directory, shard, key, { fill, keeper: inPlace });
  expect(foundObservations(work, key)).toBe(directory);
  expect(hasObservedShard(directory, shard)).toBe(false);
});

test('a shard that cannot be written for another reason is a failure', async () => {
  const fill = () => Promise.reject(new Error('no room'));
  const directory = observationsDirectory(work, key);
  await expect(
    writeObservedShard(directory, { index: 0, count: 2 }, key, { fill, keeper: inPlace }),
  ).rejects.toThrow('no room');
});
