import { expect, it } from 'vitest';
import { addProduct, productRows } from '../../../src/tuning/index.ts';

const [rows, columns] = [3, 7];
const factors = (rank: number) => ({
  ...{ rows, columns, rank },
  // Every fifth factor is zero, as beside heads that were left out.
  left: Float32Array.from({ length: rows * rank }, (_, i) => (i % 5 === 0 ? 0 : Math.sin(i + 1))),
  right: Float32Array.from({ length: rank * columns }, (_, i) => Math.cos(3 * i)),
});

/** One term after the other, from zero. */
function oneByOne({ left, right, rank }: ReturnType<typeof factors>, scale: number): number[] {
  return Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += scale * left[i * rank + k]! * right[k * columns + j]!;
    return sum;
  });
}

it.each([1, 2, 3, 4, 5, 8, 11])('a product of rank %i has the bits of its terms added one by one', (rank) => {
  const product = factors(rank);
  const expected = oneByOne(product, 0.3);
  for (const [from, to] of [
    [0, rows],
    [1, 3],
    [2, 3],
  ] as const) {
    const some = new Float64Array((to - from) * columns).fill(Number.NaN);
    productRows(some, product, [from, to], 0.3);
    expect([...some]).toEqual(expected.slice(from * columns, to * columns));
  }
  const into = new Float32Array(rows * columns).fill(2);
  addProduct(into, product, 0.3);
  expect([...into]).toEqual(expected.map((value) => Math.fround(2 + value)));
});
