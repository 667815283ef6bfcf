import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { type TensorToWrite, writeSafetensors } from '../../../src/checkpoint/index.ts';
import { verifyCommand } from '../../../src/cli/verify.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-verify-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

const mask: TensorToWrite = {
  name: 'h.0.attn.bias',
  dtype: 'BOOL',
  shape: [2, 2],
  bytes: () => Uint8Array.of(1, 0, 1, 1),
};
const weight = (value: number): TensorToWrite => ({
  name: 'h.0.attn.weight',
  dtype: 'F32',
  shape: [1],
  bytes: () => new Uint8Array(Float32Array.of(value).buffer),
});

it('a released model may have masks beside its weights, as old checkpoints do', () => {
  writeSafetensors(join(directory, 'model.safetensors'), [mask, weight(1)]);
  sealArtifact(directory, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  const told = vi.spyOn(console, 'log').mockReturnValue(undefined);
  verifyCommand(directory, {});
  expect(told.mock.calls[0]![0]).toContain('2 tensors; every value is finite');
});

it('a weight that is not finite is named', () => {
  writeSafetensors(join(directory, 'model.safetensors'), [mask, weight(Number.NaN)]);
  sealArtifact(directory, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  expect(() => verifyCommand(directory, {})).toThrow('tensor h.0.attn.weight holds NaN or infinity');
});
