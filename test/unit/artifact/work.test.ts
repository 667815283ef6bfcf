/** A stage's work: known again by what it is made of and how, and made whole or not at all. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  doneBefore,
  doneOrFree,
  identityOf,
  inPlace,
  openArtifact,
  type Sealing,
  seal,
  type Work,
} from '../../../src/artifact/index.ts';

let output: string;
beforeEach(() => {
  output = join(mkdtempSync(join(tmpdir(), 'offsite-work-')), 'out');
});
afterEach(() => rmSync(join(output, '..'), { recursive: true, force: true }));

const work: Work = {
  kind: 'Adapter',
  madeFrom: { emulator: 'sha256:e', data: 'sha256:d' },
  hyperparameters: { steps: 3, adapter: { type: 'lora', rank: 4 } },
};

const sealing: Sealing = {
  fill(directory) {
    writeFileSync(join(directory, 'adapter.safetensors'), 'bytes');
    return { bestStep: 2 };
  },
  checkUnchanged() {},
};

it('is found again where it was sealed, however its fields are ordered, with what was said of it', async () => {
  expect(doneBefore(output, work)).toBeUndefined();
  const { digest, sizeBytes } = await seal(output, work, sealing);
  const { hyperparameters, madeFrom, kind } = work;
  const turned = { hyperparameters: { adapter: { rank: 4, type: 'lora' }, steps: 3 }, kind, madeFrom };
  expect(doneBefore(output, turned)).toMatchObject({ digest, manifest: { scores: { bestStep: 2 } } });
  expect(doneOrFree(output, { ...turned, hyperparameters }, false)?.digest).toBe(digest);
  expect(openArtifact(output, { kind: 'Adapter', digest })).toMatchObject({ digest, sizeBytes });
});

it.each<[string, Partial<Work>]>([
  ['of another kind', { kind: 'Model' }],
  ['made from other things', { madeFrom: { emulator: 'sha256:e' } }],
  ['made in another way', { hyperparameters: { ...work.hyperparameters, steps: 4 } }],
  ['with a setting more', { hyperparameters: { ...work.hyperparameters, seed: 1 } }],
])('is not done where the artifact is %s, which is replaced only where it may be', async (_, other) => {
  const { digest } = await seal(output, { ...work, ...other }, sealing);
  expect(doneBefore(output, work)).toBeUndefined();
  expect(doneOrFree(output, work)).toBeUndefined();
  expect(() => doneOrFree(output, work, false)).toThrow(
    `spec.output.uri: ${output} holds an artifact of kind ${other.kind ?? 'Adapter'} (${digest}) that is not what this resource makes`,
  );
});

it.each<[string, Partial<Sealing>]>([
  ['writing it fails', { fill: () => Promise.reject(new Error('stopped')) }],
  [
    'what it was made from was changed',
    {
      checkUnchanged() {
        throw new Error('stopped');
      },
    },
  ],
  [
    'the output is no longer ours',
    { keeper: { ...inPlace, claim: () => Promise.reject(new Error('stopped')) } },
  ],
])('leaves no artifact where %s, and what lay there before', async (_, wrong) => {
  await expect(seal(output, work, { ...sealing, ...wrong })).rejects.toThrow('stopped');
  expect(existsSync(output)).toBe(false);
  const { digest } = await seal(output, { ...work, madeFrom: {} }, sealing);
  await expect(seal(output, work, { ...sealing, ...wrong })).rejects.toThrow('stopped');
  expect(openArtifact(output).digest).toBe(digest);
});

it('has the identity by which earlier versions kept what is unfinished', () => {
  expect(identityOf({ madeFrom: { a: 'b' }, hyperparameters: { c: 1 } })).toBe(
    'sha256:fea2b377fa80bf2a6bdc12ceefb0210cf83b28fcd64d6d3c1eeda36d841f239f',
  );
});
