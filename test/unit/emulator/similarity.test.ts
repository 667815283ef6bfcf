import { expect, test } from 'vitest';
import {
  adjacentValues,
  type Likeness,
  type States,
  similarityMatrix,
} from '../../../src/emulator/similarity/similarity.ts';

/** Deterministic numbers in [-1, 1). */
function states(samples: number, width: number, seed: number): States {
  let state = seed;
  const values = Float64Array.from({ length: samples * width }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return { samples, width, values };
}

/** CKA as it is written down: <HKH, HLH> / (|HKH| |HLH|) with whole matrices. */
function plainCKA(x: States, y: States, kernel: (x: States) => number[][]): number {
  const [k, l] = [centre(kernel(x)), centre(kernel(y))];
  const product = (a: number[][], b: number[][]) =>
    a.reduce((sum, row, i) => sum + row.reduce((part, value, j) => part + value * b[i]![j]!, 0), 0);
  return product(k, l) / Math.sqrt(product(k, k) * product(l, l));
}

function centre(k: number[][]): number[][] {
  const n = k.length;
  const h = k.map((_, i) => k.map((_, j) => Number(i === j) - 1 / n));
  const times = (a: number[][], b: number[][]) =>
    a.map((row) => b.map((_, j) => row.reduce((sum, value, t) => sum + value * b[t]![j]!, 0)));
  return times(times(h, k), h);
}

const row = ({ width, values }: States, i: number) => Array.from(values.slice(i * width, (i + 1) * width));
const pairs = (x: States, f: (a: number[], b: number[]) => number) =>
  Array.from({ length: x.samples }, (_, i) =>
    Array.from({ length: x.samples }, (_, j) => f(row(x, i), row(x, j))),
  );
const linear = (x: States) => pairs(x, (a, b) => a.reduce((sum, value, d) => sum + value * b[d]!, 0));
const rbf = (threshold: number) => (x: States) => {
  const squares = pairs(x, (a, b) => a.reduce((sum, value, d) => sum + (value - b[d]!) ** 2, 0));
  const sorted = squares.flat().sort((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  return squares.map((line) => line.map((square) => Math.exp(-square / (2 * threshold ** 2 * median))));
};

test.each([5, 7, 8, 11])(
  'linear and RBF CKA of %i samples equal the formula with whole matrices',
  (samples) => {
    const layers = [states(samples, 9, 1), states(samples, 9, 2), states(samples, 9, 3)];
    const linearMatrix = similarityMatrix(layers, { metric: 'linearCKA' });
    const rbfMatrix = similarityMatrix(layers, { metric: 'rbfCKA', threshold: 0.8 });
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++) {
        expect(linearMatrix[i]![j]).toBeCloseTo(plainCKA(layers[i]!, layers[j]!, linear), 12);
        expect(rbfMatrix[i]![j]).toBeCloseTo(plainCKA(layers[i]!, layers[j]!, rbf(0.8)), 10);
      }
  },
);

test('linear CKA does not change with scale and offset, and orders values close to 1', () => {
  const x = states(20, 6, 4);
  const noisy = (amount: number) => {
    const noise = states(20, 6, 5).values;
    return { ...x, values: Float64Array.from(x.values, (value, i) => 1000 + 3 * value + amount * noise[i]!) };
  };
  const [near, nearer, same] = similarityMatrix([x, noisy(1e-4), noisy(5e-5), noisy(0)], {
    metric: 'linearCKA',
  })[0]!.slice(1);
  expect(1 - same!).toBeLessThan(1e-12);
  expect(nearer).toBeGreaterThan(near!);
  expect(same).toBeGreaterThan(nearer!);
});

test('cosine and angular by hand', () => {
  const x = { samples: 2, width: 2, values: Float64Array.of(1, 0, 0, 2) };
  const y = { samples: 2, width: 2, values: Float64Array.of(3, 0, 5, 0) };
  expect(similarityMatrix([x, y], { metric: 'cosine' })[0]![1]).toBeCloseTo(0.5, 12);
  expect(similarityMatrix([x, y], { metric: 'angular' })[0]![1]).toBeCloseTo(0.75, 12);
});

test('adjacent values are the diagonal beside the main one', () => {
  const matrix = [
    [1, 0.1, 0.2],
    [0.1, 1, 0.3],
    [0.2, 0.3, 1],
  ];
  expect(adjacentValues(matrix)).toEqual([0.1, 0.3]);
});

test.each<Likeness>(['linearCKA', 'rbfCKA', 'cosine', 'angular'])(
  '%s: states without spread give numbers',
  (metric) => {
    const still = { samples: 3, width: 2, values: new Float64Array(6) };
    const matrix = similarityMatrix([still, states(3, 2, 1)], { metric });
    expect(matrix.every((line) => line.every(Number.isFinite))).toBe(true);
  },
);

test('one sample and broken weights are refused', () => {
  expect(() => similarityMatrix([states(1, 2, 1)], { metric: 'linearCKA' })).toThrow(/at least 2/);
  const broken = { samples: 2, width: 1, values: Float64Array.of(1, Number.NaN) };
  expect(() => similarityMatrix([states(2, 1, 1), broken], { metric: 'linearCKA' })).toThrow(
    /layer 1 .*not finite/,
  );
});

test('512 samples of 8 layers take a second or two', () => {
  const layers = Array.from({ length: 8 }, (_, layer) => states(512, 576, layer + 1));
  const start = process.cpuUsage();
  similarityMatrix(layers, { metric: 'linearCKA' });
  const { user, system } = process.cpuUsage(start);
  // about 0.5 s of one core
  expect((user + system) / 1e6).toBeLessThan(3);
}, 120_000);

test('is stopped between two layers', () => {
  let calls = 0;
  const stop = () => {
    if (++calls === 2) throw new Error('stopped');
  };
  const layers = [states(3, 2, 1), states(3, 2, 2)];
  expect(() => similarityMatrix(layers, { metric: 'linearCKA' }, stop)).toThrow('stopped');
  expect(calls).toBe(2);
});
