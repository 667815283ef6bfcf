import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Example, partsOf, tokenCount } from '../../../src/data/index.ts';

/** A prompt of 400 tokens, a tenth of it in each branch, and so many choices of 100. */
const question = (choices: number): Example => ({
  row: 7,
  trunk: Array.from({ length: 360 }, (_, t) => t),
  branches: Array.from({ length: choices }, (_, c) => Array.from({ length: 140 }, (_, t) => 1000 * c + t)),
  starts: Array.from({ length: choices }, () => 40),
  answer: 3,
  bytes: Array.from({ length: choices }, (_, c) => c),
});

test('a row that fits into 2048 tokens or maxLength stays whole', () => {
  const whole = (example: Example) => [{ ...example, places: [...example.branches.keys()] }];
  const [fits, long] = [question(12), question(13)];
  expect(tokenCount(fits)).toBe(2040);
  expect(partsOf(fits, 512)).toEqual(whole(fits));
  const more = { ...fits, trunk: [...fits.trunk, ...new Array<number>(8).fill(0)] };
  expect(partsOf(more, 512)).toEqual(whole(more));
  expect(partsOf(long, tokenCount(long))).toEqual(whole(long));
  const text = { row: 0, trunk: new Array<number>(5000).fill(1), branches: [], bytes: [] };
  expect(partsOf(text, 512)).toEqual(whole(text));
});

test('a longer one is laid into several, the choices in order, each time after the same trunk', () => {
  const long = question(26);
  const parts = partsOf(long, 512);
  expect(parts.map(({ places, branches }) => [places[0], branches.length])).toEqual([
    [0, 12],
    [12, 12],
    [24, 2],
  ]);
  expect(parts.flatMap(({ branches }) => branches)).toEqual(long.branches);
  for (const { row, trunk, starts, branches } of parts)
    expect([row, trunk, starts]).toEqual([7, long.trunk, branches.map(() => 40)]);
});

test('branches whose lengths are of two classes share no trunk, and those of one do', () => {
  const branches = [[1], [2, 3], [4, 5], [6]];
  const example = { ...question(4), branches, starts: [0, 1, 2, 3] };
  const parts = partsOf(example, 512, (length) => (length > 361 ? 'long' : 'short'));
  expect(parts.map(({ places, starts }) => [places, starts])).toEqual([
    [
      [0, 3],
      [0, 3],
    ],
    [
      [1, 2],
      [1, 2],
    ],
  ]);
  for (const part of parts) expect(part.branches).toEqual(part.places.map((place) => branches[place]));
  expect(partsOf(example, 512, () => 'one')).toEqual([{ ...example, places: [0, 1, 2, 3] }]);
});

test('no part is longer than it may be where the prompt with each choice is not, and none could take one more', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 0, max: 1000 }), (choices, prompt) => {
      const branches = choices.map((length) => new Array<number>(length).fill(1));
      const example = { row: 0, trunk: new Array<number>(prompt).fill(1), branches, bytes: [] };
      const parts = partsOf(example, 2500);
      expect(parts.flatMap((part) => part.branches)).toEqual(branches);
      for (const part of parts) {
        expect(tokenCount(part)).toBeLessThanOrEqual(2500);
        const next = choices[part.places.at(-1)! + 1] ?? Number.POSITIVE_INFINITY;
        expect(tokenCount(part) + next).toBeGreaterThan(2500);
      }
    }),
    { numRuns: 30 },
  );
});
