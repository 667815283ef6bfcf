import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { randomControl } from '../../../../src/emulator/leak/control.ts';
import { openModel, type WeightSource, weightsOf } from '../../../../src/model/index.ts';
import { writeTinyModel } from '../../../support/tiny/index.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-control-'));
writeTinyModel(join(directory, 'tied'), { tied: true, layers: 2 });
const model = openModel(join(directory, 'tied'));
afterAll(() => {
  model.close();
  rmSync(directory, { recursive: true, force: true });
});

const own = weightsOf(model, { memory: 0 });
const control = (seed?: number) => randomControl(weightsOf(model, { memory: 0 }), model, seed);
const copy = (source: WeightSource, position: number) =>
  Object.fromEntries(Object.entries(source.block(position)).map(([slot, values]) => [slot, [...values]]));
const deviation = (values: ArrayLike<number>) => {
  const all = Array.from(values);
  const mean = all.reduce((sum, x) => sum + x, 0) / all.length;
  return Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length);
};

test('matrices have their own deviation and nothing else of the model, norms are as they are', () => {
  const [before, drawn] = [copy(own, 1), copy(control(), 1)];
  for (const [slot, values] of Object.entries(before)) {
    const random = drawn[slot]!;
    if (own.slots(1)[slot]!.shape.length === 1) expect(random).toEqual(values);
    else {
      expect(deviation(random) / deviation(values)).toBeCloseTo(1, 0.8);
      const along = values.reduce((sum, x, i) => sum + x * random[i]!, 0);
      const cosine = along / Math.hypot(...values) / Math.hypot(...random);
      expect(Math.abs(cosine)).toBeLessThan(5 / Math.sqrt(values.length));
    }
  }
});

test('the same again for the same seed, in any order; another for another seed and another layer', () => {
  const [once, again] = [control(), control()];
  const first = copy(once, 0);
  expect(copy(once, 1)['down']).not.toEqual(first['down']);
  expect(copy(once, 0)).toEqual(first);
  copy(again, 1);
  expect(copy(again, 0)).toEqual(first);
  expect(copy(control(7), 0)['down']).not.toEqual(first['down']);
});

test('a tied head stays tied, and a token has the same row whenever it is asked for', () => {
  const source = control();
  const width = model.architecture.hidden;
  const rows = source.embed(Int32Array.of(5, 0, 5));
  const head = source.head()['head']!;
  expect(rows.subarray(0, width)).toEqual(head.subarray(5 * width, 6 * width));
  expect(rows.subarray(width, 2 * width)).toEqual(head.subarray(0, width));
  expect(rows.subarray(2 * width)).toEqual(rows.subarray(0, width));
  expect(deviation(head) / deviation(model.read(model.architecture.embedding.name))).toBeCloseTo(1, 1);
});
