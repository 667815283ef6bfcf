/** A party without which nothing can be measured: it is told, and the others are measured all the same. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { badModel, badSpec, cancelled } from '../../../src/api/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { type Model, openModel } from '../../../src/model/index.ts';
import { leaveOneOut } from '../../../src/plugin/leave-one-out.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'left-out-'));
let engine: Engine;
let model: Model;
beforeAll(async () => {
  writeTinyModel(join(root, 'model'), { layers: 1, hidden: 16, intermediate: 24 });
  engine = await Engine.create({ provider: 'cpu', threads: 1, cancel: new SharedArrayBuffer(4) });
  model = openModel(join(root, 'model'));
});
afterAll(async () => {
  model.close();
  await engine.dispose();
  rmSync(root, { recursive: true });
});

const nothing = { has: () => false, get: () => undefined };

/** Of parties a and b, without the first of which the others' come to this error. */
async function measuredWithout(error: Error) {
  const found = new Map<string, unknown>();
  const warnings: string[] = [];
  const kept = {
    without: (digest: string) => found.get(digest),
    addWithout: async (digest: string, differences: unknown) => void found.set(digest, differences),
  };
  const options = {
    ...{ tasks: [], engine, memory: 1 << 20, resamples: 10, seed: 1, kept },
    withoutOne(digest: string) {
      if (digest === 'a') throw error;
      return { plugged: nothing, close() {} };
    },
    emit: (event: { reason?: string; message?: string }) =>
      void (event.reason && warnings.push(`${event.reason}: ${event.message}`)),
  } as unknown as Parameters<typeof leaveOneOut>[2];
  const sides = { model, plugged: nothing } as unknown as Parameters<typeof leaveOneOut>[1];
  return { found: await leaveOneOut(['a', 'b'], sides, options), warnings };
}

test.each([badSpec('none of the 4 has a weight'), badModel('its weights are too large')])(
  '%s',
  async (error) => {
    const { found, warnings } = await measuredWithout(error);
    expect([...found.keys()]).toEqual(['a', 'b']);
    expect(found.get('a')).toEqual([]);
    expect(warnings).toEqual([`NotMeasured: the plug-in without a is not measured: ${error.message}`]);
  },
);

test('what is stopped stays so', async () => {
  await expect(measuredWithout(cancelled('stopped'))).rejects.toThrow('stopped');
});
