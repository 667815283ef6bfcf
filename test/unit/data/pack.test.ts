import { isDeepStrictEqual } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  capacityFor,
  cheapestCapacity,
  type PackedBatch,
  PackedTargets,
  pack,
  packStep,
  tokenCount,
} from '../../../src/data/index.ts';
import { someExamples } from '../../support/unit/data/examples.ts';

const shape = fc.record({
  capacity: fc.integer({ min: 60, max: 160 }),
  batch: fc.integer({ min: 1, max: 6 }),
});

/** Every token of a batch that is no padding, with where it lies. */
function placed({ ids, rows, branches, positions, length }: PackedBatch, number: number) {
  return [...ids.keys()]
    .filter((flat) => rows[flat] !== -1)
    .map((flat) => ({
      sequence: `${number}/${Math.floor(flat / length)}`,
      row: rows[flat]!,
      branch: branches[flat]!,
      position: positions[flat]!,
      token: ids[flat]!,
    }));
}

describe('pack', () => {
  test('places every token of every row once, a row in one sequence, trunk before branches', () => {
    fc.assert(
      fc.property(someExamples, shape, (examples, options) => {
        const all = pack(examples, options).flatMap(placed);
        for (const { row, trunk, branches } of examples) {
          const mine = all.filter((token) => token.row === row);
          expect(new Set(mine.map(({ sequence }) => sequence)).size).toBe(1);
          const expected = [
            ...trunk.map((token, t) => [0, t, token]),
            ...branches.flatMap((tokens, c) => tokens.map((token, t) => [c + 1, trunk.length + t, token])),
          ];
          expect(mine.flatMap(({ branch, position, token }) => [branch, position, token])).toEqual(
            expected.flat(),
          );
        }
        expect(all.length).toBe(examples.reduce((sum, example) => sum + tokenCount(example), 0));
      }),
    );
  });

  test('aims at every token of a branch, or of a text but its first, from the token before it', () => {
    fc.assert(
      fc.property(someExamples, shape, (examples, options) => {
        const batches = pack(examples, options);
        const misaimed = batches.flatMap(({ ids, rows, branches, positions, targets }) =>
          [...targets].filter(({ from, row, branch, token }) => {
            // the state that predicts it is the token just before it: in its own branch, or the trunk's last
            const { trunk, branches: own } = examples[row]!;
            const text = branch === 0 ? trunk : [...trunk, ...own[branch - 1]!];
            const position = positions[from]!;
            return !(
              rows[from] === row &&
              text[position + 1] === token &&
              text[position] === ids[from] &&
              branches[from] === (position < trunk.length ? 0 : branch)
            );
          }),
        );
        expect(misaimed).toEqual([]);
        const counted = batches.flatMap(({ targets }) => [...targets]);
        for (const { row, trunk, branches } of examples) {
          const expected =
            branches.length === 0
              ? trunk.slice(1).map((token) => [0, token])
              : branches.flatMap((tokens, c) => tokens.map((token) => [c + 1, token]));
          const mine = counted.filter((target) => target.row === row);
          expect(mine.flatMap(({ branch, token }) => [branch, token])).toEqual(expected.flat());
        }
      }),
    );
  });

  test('has full batches and one tail, says how many tokens are no padding, and the order of rows changes nothing', () => {
    fc.assert(
      fc.property(someExamples, shape, fc.infiniteStream(fc.nat()), (examples, options, keys) => {
        const batches = pack(examples, options);
        expect(batches.slice(0, -1).every(({ size }) => size === options.batch)).toBe(true);
        expect(batches.every(({ length }) => length === options.capacity)).toBe(true);
        for (const { rows, tokens } of batches) expect(tokens).toBe(rows.filter((row) => row >= 0).length);
        const mixed = examples
          .map((example) => ({ example, key: keys.next().value }))
          .sort((a, b) => a.key - b.key)
          .map(({ example }) => example);
        expect(isDeepStrictEqual(pack(mixed, options), batches)).toBe(true);
      }),
    );
  });

  test('leaves little padding', () => {
    const examples = Array.from({ length: 500 }, (_, row) => ({
      row,
      trunk: Array.from({ length: 20 + ((row * 7) % 41) }, () => 1),
      branches: [],
      bytes: [],
    }));
    const batches = pack(examples, { capacity: 128, batch: 8 });
    const used = batches.reduce((sum, { tokens }) => sum + tokens, 0);
    const all = batches.reduce((sum, { size, length }) => sum + size * length, 0);
    expect(used / all).toBeGreaterThan(0.95);
  });

  test('refuses a row that is too long, and a row that stands twice', () => {
    const example = { row: 3, trunk: [1, 2, 3], branches: [[4]], bytes: [1] };
    expect(() => pack([example], { capacity: 3, batch: 1 })).toThrow('row 4 has 4 tokens, the capacity is 3');
    expect(() => pack([example, example], { capacity: 16, batch: 1 })).toThrow('row 4 stands twice');
  });
});

test('what is packed of a set stays outside of the heap: its tokens, and which of them are to be predicted', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const text = Array.from({ length: 1500 }, (_, place) => place);
  const examples = Array.from({ length: 200 }, (_, row) => ({ row, trunk: text, branches: [], bytes: [] }));
  collect();
  const before = process.memoryUsage().heapUsed;
  const batches = pack(examples, { capacity: 1504, batch: 1 });
  collect();
  const targets = batches.reduce((sum, batch) => sum + batch.targets.length, 0);
  expect(targets).toBe(200 * 1499);
  expect((process.memoryUsage().heapUsed - before) / targets).toBeLessThan(4);
});

test('targets are those that were packed, by place and in their order', () => {
  const targets = [
    { from: 0, token: 131_071, row: 2, branch: 0 },
    { from: 3, token: 7, row: 1, branch: 65_536 },
  ];
  const packed = PackedTargets.of(targets);
  expect([...packed]).toEqual(targets);
  expect([0, 1, 2].map((place) => packed.at(place))).toEqual([...targets, undefined]);
  const told: unknown[] = [];
  packed.forEach((target, place) => void told.push([place, target]));
  expect(told).toEqual([...targets.entries()]);
});

test('packStep packs the rows at the given places only', () => {
  fc.assert(
    fc.property(someExamples, shape, (examples, options) => {
      const places = [...examples.keys()].filter((place) => place % 2 === 0);
      const batches = packStep(examples, places, options);
      const rows = new Set(batches.flatMap(({ rows }) => [...rows]).filter((row) => row >= 0));
      expect([...rows].sort((a, b) => a - b)).toEqual(places);
    }),
  );
});

/** A text of so many tokens. */
const text = (count: number, row = 0) => ({
  ...{ row, branches: [], bytes: [] },
  trunk: Array.from({ length: count }, () => 1),
});

test('capacityFor is a multiple of 16 that holds the longest row and no more than need be', () => {
  expect(capacityFor([text(5)], 128)).toBe(128);
  expect(capacityFor([text(128)], 128)).toBe(128);
  expect(capacityFor([text(3), text(129)], 128)).toBe(144);
  expect(capacityFor([text(5)], 1)).toBe(16);
});

test('the cheapest capacity weighs padding against what attention costs, and holds the longest row', () => {
  const texts = (count: number, length: number) =>
    Array.from({ length: count }, (_, row) => text(length, row));
  // 3 in 64 fill 60 of them, 2 in 48 fill 40, 4 in 80 fill all.
  const cheapest = [0, 0.001, 0.012, 0.1].map((cost) => cheapestCapacity(texts(240, 20), cost));
  expect(cheapest).toEqual([80, 80, 64, 32]);
  expect(cheapestCapacity(texts(1, 20), 0)).toBe(32);
  expect(cheapestCapacity([], 0)).toBe(16);
  // No sequence is longer than the longest row where that is long already.
  expect(cheapestCapacity([...texts(3, 20), text(130, 3)], 0)).toBe(144);
});
