import { expect, it } from 'vitest';
import type { Example } from '../../../src/data/index.ts';
import type { Slots } from '../../../src/model/index.ts';
import { planTuning, type TuningRows } from '../../../src/tuning/plan.ts';

const blocks: Slots[] = [{ up: { name: 'up', shape: [2000, 3] } }];
const size = { heads: 1, hidden: 1, memory: 2 * 4 * 2000 * 512, given: 2 ** 28 };
const rowOf = (tokens: number): Example => ({
  ...{ row: 0, branches: [], bytes: [] },
  trunk: new Array(tokens).fill(1),
});
const planned = (longest: number, how: Partial<TuningRows>, more: Partial<typeof size> = {}) =>
  planTuning([blocks, { ...size, ...more }], {
    ...{ examples: [rowOf(3), rowOf(longest)], rows: 4, hidden: true, maxLength: 512, pairs: false },
    ...how,
  });

it.each([
  [512, false, { shape: { capacity: 512, batch: 1 }, recompute: false }],
  [528, false, { shape: { capacity: 528, batch: 1 }, recompute: true }],
  [512, true, { shape: { capacity: 1024, batch: 1 }, recompute: true }],
])(
  'of hidden rows of at most %i tokens follows from that alone, two answers: %s',
  (maxLength, pairs, plan) => {
    for (const longest of [5, 300, maxLength])
      expect(planned(longest, { maxLength, pairs }).plan).toEqual(plan);
  },
);

it('of hidden rows whether a step is refused follows from that too', () => {
  const bySize = (longest: number) => () => planned(longest, {}, { heads: 140 });
  for (const longest of [5, 512]) expect(bySize(longest)).toThrow('140 heads would take more than');
  expect(planned(5, { hidden: false }, { heads: 140 }).plan.shape.capacity).toBe(256);
});

it('the work is told from other work as ever: by the longest row', () => {
  const short = { shape: { capacity: 256, batch: 1 }, recompute: false };
  expect(planned(5, { maxLength: 528 }).named).toEqual(short);
  const open = planned(300, { hidden: false });
  expect(open.plan).toEqual({ shape: { capacity: 304, batch: 3 }, recompute: true });
  expect(open.named).toEqual(open.plan);
});
