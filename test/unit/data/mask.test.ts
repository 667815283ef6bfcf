import fc from 'fast-check';
import { expect, test } from 'vitest';
import { attentionMask, capacityFor, type Example, pack } from '../../../src/data/index.ts';
import { someExamples } from '../../support/unit/data/examples.ts';

/** What the row's token at `position` of `branch` may see, said in terms of the row alone. */
function seen({ trunk }: Example, branch: number, position: number, window: number): string[] {
  return Array.from({ length: position + 1 }, (_, place) => place)
    .filter((place) => position - place < window)
    .map((place) => (place < trunk.length ? `0:${place}` : `${branch}:${place}`));
}

test('a token sees its own row: the trunk and its own branch up to itself, within the window', () => {
  fc.assert(
    fc.property(someExamples, fc.option(fc.integer({ min: 1, max: 12 })), (examples, slidingWindow) => {
      const window = slidingWindow ?? Number.POSITIVE_INFINITY;
      for (const batch of pack(examples, { capacity: capacityFor(examples, 64), batch: 2 })) {
        const { size, length, rows, branches, positions } = batch;
        const mask = attentionMask(batch, slidingWindow ?? undefined);
        expect(mask.length).toBe(size * length * length);
        for (let query = 0; query < size * length; query++) {
          if (rows[query] === -1) continue;
          const start = query - (query % length);
          const bias = mask.subarray(query * length, (query + 1) * length);
          expect(bias.every((value) => value === 0 || value === Number.NEGATIVE_INFINITY)).toBe(true);
          const keys = [...bias.keys()].filter((key) => bias[key] === 0).map((key) => start + key);
          expect(keys.every((key) => rows[key] === rows[query])).toBe(true);
          expect(keys.map((key) => `${branches[key]}:${positions[key]}`)).toEqual(
            seen(examples[rows[query]!]!, branches[query]!, positions[query]!, window),
          );
        }
      }
    }),
    { numRuns: 30 },
  );
});

test('a padding token sees itself, so that no query sees nothing', () => {
  const [batch] = pack([{ row: 0, trunk: [5, 6], branches: [], bytes: [] }], { capacity: 4, batch: 1 });
  const mask = attentionMask(batch!, 1);
  expect([0, 1, 2, 3].map((t) => mask[t * 4 + t])).toEqual([0, 0, 0, 0]);
});
