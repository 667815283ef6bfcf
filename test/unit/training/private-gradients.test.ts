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
const row = {} as PackedBatch;

/** Steps on rows with given gradients of a, b and c; the noise is the place that it is drawn at, from 1 on, in hundreds. */
const stepOn = async (rows: number[][][], deviation = 0) => {
  let next = 0;
  const normals: string[] = [];
  const { gradients, ...rest } = await privateGradients(
    rows.map(() => row),
    parts,
    7,
    {
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
          loss: next,
          gradients: new Map([[parts[0]!, [a!, b!]] as const, [parts[1]!, [c!]] as const]),
        };
      },
      check(loss, norm) {
        if (!Number.isFinite(loss + norm)) throw new Error(`loss ${loss}, norm ${norm}`);
      },
    },
  );
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

  it('stops at a row whose gradient is not finite', async () => {
    await expect(stepOn([[[Number.POSITIVE_INFINITY, 0], [0], [0, 0, 0]]])).rejects.toThrow(
      'loss 1, norm Infinity',
    );
  });
});
