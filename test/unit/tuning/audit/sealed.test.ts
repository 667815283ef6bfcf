import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sealArtifact } from '../../../../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../../../../src/checkpoint/index.ts';
import type { TrainedTensor } from '../../../../src/training/index.ts';
import { takeSealed } from '../../../../src/tuning/audit/index.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-audited-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** An adapter of one tensor of two equal numbers. */
function adapter(name: string, value: number): { output: string; digest: string } {
  const output = join(directory, name);
  mkdirSync(output);
  const bytes = () => encodeFloats(Float32Array.of(value, value), 'F32');
  writeSafetensors(join(output, 'adapter.safetensors'), [{ name: 'w', dtype: 'F32', shape: [2], bytes }]);
  const { digest } = sealArtifact(output, { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
  return { output, digest };
}

test('what is audited is the adapter that was sealed, and no other that lies there afterwards', () => {
  const numbers = () => new Float32Array(2);
  const tensor: TrainedTensor = {
    ...{ name: 'w', shape: [2], values: numbers(), best: numbers() },
    ...{ first: numbers(), second: numbers() },
  };
  const honest = adapter('adapter', 1);
  takeSealed(honest, [tensor]);
  expect([...tensor.values]).toEqual([1, 1]);
  const forged = adapter('forged', 9);
  renameSync(honest.output, join(directory, 'away'));
  renameSync(forged.output, honest.output);
  expect(() => takeSealed(honest, [tensor])).toThrow(
    `${honest.output}: its digest is ${forged.digest}, expected ${honest.digest}`,
  );
  expect([...tensor.values]).toEqual([1, 1]);
});
