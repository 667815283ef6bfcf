import { describe, expect, it } from 'vitest';
import type { PackedBatch } from '../../../src/data/index.ts';
import { privateGradients } from '../../../src/training/private-gradients.ts';
import type { TrainedTensor } from '../../../src/training/state.ts';

const tensor = (name: string, length: number, trains?: (place: number) => boolean): TrainedTensor => {
  const zeros = () => new Float32Array(length);
  const own = { name, shape: [length], values: zeros(), first: zeros(), second: zeros(), best: zeros() };
  return trains === undefined ? own : { ...own, trains };
};
const parts = [
  { tensors: [tensor('a', 2), tensor('b', 1)] },
  { tensors: [tensor('c', 3, (place) => place !== 1)] },
];
const row = { targets: [{}] } as unknown as PackedBatch;
const withoutTargets = { targets: [] } as unknown as PackedBatch;

/** Steps on rows with given gradients of a, b and c; the noise is the place that it is drawn at, from 1 on, in hundreds. */
const stepOn = async (
  rows: number[][][],
  deviation = 0,
  losses: readonly number[] = [],
  batches = rows.map(() => row),
) => {
  let next = 0;
  const normals: string[] = [];
  const { gradients, ...rest } = await privateGradients(batches, parts, 7, {
    hidden: {
      ...{ clipNorm: 5, expectedRows: 2, deviation },
      normal(name, step) {
        normals.push(`${name} ${step}`);
        let drawn = 0;
        return () => 100 * ++drawn;
      },
    },
    gradientsOf: async () => {
      const [a, b, c] = rows[next++]!.map((values) => Float32Array.from(values));
      return {
        loss: losses[next - 1] ?? next,
        gradients: new Map([[parts[0]!, [a!, b!]] as const, [parts[1]!, [c!]] as const]),
      };
    },
  });
  return {
    ...rest,
    normals,
    gradients: parts.flatMap((part) => gradients.get(part)!.map((own) => [...own])),
  };
};

describe('a step that hides its rows', () => {
  it('scales down a row whose norm over all tensors is too large, and no other', async () => {
    // Norms 10 and 2: the first counts half.
    const { gradients, loss, clipped } = await stepOn([
      [[6, 0], [0], [0, 0, 8]],
      [[0, 2], [0], [0, 0, 0]],
    ]);
    expect(gradients.flat().map((value) => Math.round(value * 1e5) / 1e5)).toEqual([1.5, 1, 0, 0, 0, 2]);
    expect({ loss, clipped }).toEqual({ loss: 1.5, clipped: 1 });
  });

  it('counts a row without a token to predict neither in the loss nor among those that may be clipped', async () => {
    const zero = [[0, 0], [0], [0, 0, 0]];
    const found = await stepOn(
      [zero, [[6, 0], [0], [0, 0, 8]], zero],
      0,
      [0, 4, 0],
      [withoutTargets, row, withoutTargets],
    );
    expect(found).toMatchObject({ loss: 4, taken: 1, clipped: 1 });
    expect(await stepOn([zero], 0, [0], [withoutTargets])).toMatchObject({ loss: Number.NaN, taken: 0 });
  });

  it("is moved by a row by no more than its own gradient, whatever that does to the others' rounding", async () => {
    // Up to 1 each of these would be rounded up in float32, beyond it away.
    const small = Array.from({ length: 4000 }, () => [[0.6 * 2 ** -24, 0], [0], [0, 0, 0]]);
    const first = [[0.75, 0], [0], [0, 0, 0]];
    const more = [[0.5, 0], [0], [0, 0, 0]];
    const [without, lifted] = [await stepOn([first, ...small]), await stepOn([first, more, ...small])];
    const moved = 2 * (lifted.gradients[0]![0]! - without.gradients[0]![0]!);
    expect(Math.abs(moved - 0.5)).toBeLessThan(2e-7);
  });

  it('is noise alone where there are no rows, and has no loss', async () => {
    const { gradients, loss, clipped, normals } = await stepOn([], 1);
    // Of c the middle does not train: it gets none, and none is drawn for it.
    expect(gradients).toEqual([[50, 100], [50], [50, 0, 100]]);
    expect({ loss, clipped, normals }).toEqual({
      loss: Number.NaN,
      clipped: 0,
      normals: ['a 7', 'b 7', 'c 7'],
    });
  });

  it('takes a row whose gradient or loss is not finite as zero: noise and divisor are those of a step without it', async () => {
    const finite = [[0, 2], [0], [0, 0, 1]];
    const overflown = [
      [[Number.POSITIVE_INFINITY, 0], [0], [0, 0, 0]],
      [[0, 0], [Number.NaN], [3, 4, 0]],
      [[0, 0], [1], [0, 0, 0]],
    ];
    const { notFinite, taken, ...found } = await stepOn([...overflown, finite], 1, [1, 2, Number.NaN, 7]);
    const { notFinite: none, taken: one, ...without } = await stepOn([finite], 1, [7]);
    expect([notFinite, taken, none, one]).toEqual([3, 4, 0, 1]);
    expect(found).toEqual(without);
    expect(found.loss).toBe(7);
    const nothing = await stepOn([], 1);
    expect(await stepOn(overflown, 1, [1, 2, Number.NaN])).toEqual({ ...nothing, taken: 3, notFinite: 3 });
  });
});
