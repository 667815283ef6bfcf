import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type DType, encodeFloats, openCheckpoint } from '../../../src/checkpoint/index.ts';
import type { Model } from '../../../src/model/index.ts';
import { mergedTensors, savePluggedIn } from '../../../src/plugin/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-merge-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const values = Float32Array.of(1.5, -2, 0.25, 8);
const bytes: Partial<Record<DType, Uint8Array>> = {
  F64: new Uint8Array(Float64Array.from(values).buffer),
  F32: encodeFloats(values, 'F32'),
  F16: encodeFloats(values, 'F16'),
  BF16: encodeFloats(values, 'BF16'),
  I64: new Uint8Array(BigInt64Array.of(1n, -2n, 3n, 4n).buffer),
  U8: Uint8Array.of(0, 1, 255, 7),
  BOOL: Uint8Array.of(0, 1, 1, 0),
};
const dtypes = Object.keys(bytes) as DType[];
/** A model with a tensor of each dtype, such as those that hold their attention masks. */
const model = {
  configText: '{"cap": 30.0}\n',
  tokenizer: { files: [] },
  tensors: new Map(dtypes.map((dtype) => [dtype, { name: dtype, dtype, shape: [2, 2] }])),
  read: () => values,
  readBytes: (name: DType) => bytes[name]!,
} as unknown as Model;

describe('the plugged-in model', () => {
  it('keeps dtype and bytes of every tensor that is not replaced, and config.json as it is written', () => {
    const path = join(directory, 'kept');
    savePluggedIn(path, model, new Map());
    const saved = openCheckpoint(path);
    for (const dtype of dtypes) {
      expect(saved.tensors.get(dtype)).toMatchObject({ dtype, shape: [2, 2] });
      expect(saved.readBytes(dtype), dtype).toEqual(bytes[dtype]);
    }
    saved.close();
  });

  it.each(['F64', 'F32', 'F16', 'BF16'] as const)('has a replaced %s tensor in its own dtype', (dtype) => {
    const path = join(directory, dtype);
    savePluggedIn(path, model, mergedTensors(model, new Map([[dtype, values.map((value) => -value)]]), 0.5));
    const saved = openCheckpoint(path);
    expect(saved.tensors.get(dtype)!.dtype).toBe(dtype);
    expect([...saved.read(dtype)]).toEqual([0, 0, 0, 0]);
    saved.close();
  });

  it('refuses a value that its dtype cannot hold', () => {
    const large = new Map([['F16', values.map(() => 70_000)]]);
    expect(() => mergedTensors(model, large, 1).get('F16')).toThrow("too large for the model's F16");
  });
});
