import { afterAll, beforeAll, expect, test } from 'vitest';
import { symmetricEigen } from '../../../src/emulator/algebra/eigen.ts';
import { semidefiniteFactor } from '../../../src/emulator/algebra/factor.ts';
import { type Matrix, matrix, multiply } from '../../../src/emulator/algebra/matrix.ts';
import { orthonormaliseRows } from '../../../src/emulator/algebra/vectors.ts';
import { Engine } from '../../../src/engine/index.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(() => engine.dispose());

const at = ({ columns, data }: Matrix, i: number, j: number) => data[i * columns + j]!;
const from = (rows: number, columns: number, element: (i: number, j: number) => number) =>
  matrix(
    rows,
    columns,
    Float64Array.from({ length: rows * columns }, (_, k) => element(Math.floor(k / columns), k % columns)),
  );
const numbers = (seed: number) => (i: number, j: number) => Math.sin((i * 37 + j * 101 + seed) ** 2);
/** The product as it is written down. */
const plain = (a: Matrix, b: Matrix) =>
  from(a.rows, b.columns, (i, j) => {
    let sum = 0;
    for (let k = 0; k < a.columns; k++) sum += at(a, i, k) * at(b, k, j);
    return sum;
  });
const turned = (a: Matrix) => from(a.columns, a.rows, (i, j) => at(a, j, i));
const gram = (a: Matrix) => plain(a, turned(a));
const largest = ({ data }: Matrix) => data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

const random = (n: number) => gram(from(n, n, numbers(n)));
const indefinite = (n: number) => from(n, n, (i, j) => numbers(3)(Math.min(i, j), Math.max(i, j)));
const matrices: [string, Matrix, number][] = [
  ['one number', from(1, 1, () => 3), 1],
  ['one negative number', from(1, 1, () => -3), 1],
  ['two', from(2, 2, (i, j) => (i === j ? 2 : 1)), 2],
  ['random', random(40), 40],
  ['the first of random ones', random(40), 7],
  ['more than a block', random(75), 75],
  ['negative and positive', indefinite(23), 23],
  ['zero', matrix(9, 9), 9],
  ['the identity', from(12, 12, (i, j) => Number(i === j)), 12],
  ['of rank 1', from(15, 15, (i, j) => (i + 1) * (j + 1)), 15],
  ['of rank 3', gram(from(20, 3, numbers(5))), 20],
  ['diagonal, out of order', from(8, 8, (i, j) => (i === j ? [3, 9, 1, 9, 0, 3, 3, 2][i]! : 0)), 8],
  [
    'two blocks of equal eigenvalues',
    from(16, 16, (i, j) => (Math.floor(i / 8) === Math.floor(j / 8) ? at(random(8), i % 8, j % 8) : 0)),
    16,
  ],
  [
    'Wilkinson 21, whose largest pairs agree in all digits',
    from(21, 21, (i, j) => (i === j ? Math.abs(i - 10) : Number(Math.abs(i - j) === 1))),
    21,
  ],
  ['huge', from(10, 10, (i, j) => at(random(10), i, j) * 1e300), 10],
  ['tiny', from(10, 10, (i, j) => at(random(10), i, j) * 1e-300), 10],
  ['graded', from(30, 30, (i, j) => at(random(30), i, j) * 10 ** (-(i + j) / 4)), 30],
];

test.each(matrices)('eigenvectors of a matrix: %s', async (_, a, count) => {
  const n = a.rows;
  const { values, vectors } = await symmetricEigen(engine, a, count);
  const size = largest(a) || 1;
  const trace = values.reduce((sum, value) => sum + value / size, 0);
  expect(trace).toBeCloseTo(
    Array.from({ length: n }, (_, i) => at(a, i, i) / size).reduce((sum, value) => sum + value),
    11,
  );
  expect([...values]).toEqual([...values].sort((x, y) => y - x));
  const scaled = from(n, n, (i, j) => at(a, i, j) / size);
  const image = plain(vectors, scaled);
  const error = from(count, n, (r, i) => at(image, r, i) - (values[r]! / size) * at(vectors, r, i));
  expect(largest(error)).toBeLessThan(1e-13 * n);
  const products = gram(vectors);
  expect(largest(from(count, count, (i, j) => at(products, i, j) - Number(i === j)))).toBeLessThan(1e-13);
  for (let r = 0; r < count; r++) {
    const row = [...vectors.data.subarray(r * n, (r + 1) * n)];
    expect(row.find((value) => Math.abs(value) === Math.max(...row.map(Math.abs)))).toBeGreaterThan(0);
  }
});

test('equal matrices give equal bits, and the matrix is left as it is', async () => {
  const a = random(24);
  const before = a.data.slice();
  expect(await symmetricEigen(engine, a, 9)).toEqual(await symmetricEigen(engine, matrix(24, 24, before), 9));
  expect(a.data).toEqual(before);
});

test('a matrix that is not finite is refused, not computed for ever', async () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const odd = from(5, 5, (i, j) => (i === 2 && j === 2 ? value : 1));
    await expect(symmetricEigen(engine, odd, 2)).rejects.toThrow('not finite');
  }
  await expect(symmetricEigen(engine, random(4), 5)).rejects.toThrow('5 of [4, 4]');
});

test.each<[string, Matrix, number]>([
  ['regular', random(12), 12],
  ['singular', gram(from(14, 4, numbers(2))), 4],
  ['of dead rows', from(6, 6, (i, j) => (i > 3 || j > 3 ? 0 : at(random(4), i, j))), 4],
  ['zero', matrix(5, 5), 0],
  [
    'with a negative eigenvalue of rounding',
    from(4, 4, (i, j) => (i === j ? 1 - (i === 3 ? 1e-16 : 0) : 1)),
    1,
  ],
])('a factor of a matrix: %s', (_, c, rank) => {
  const factor = semidefiniteFactor(c);
  expect(factor.columns).toBe(rank);
  const product = gram(factor);
  expect(largest(from(c.rows, c.rows, (i, j) => at(product, i, j) - at(c, i, j)))).toBeLessThan(
    1e-13 * (largest(c) || 1),
  );
});

test('a factor of a singular matrix that was rounded to float32, which has negative eigenvalues, is as good as the rounding', async () => {
  const exact = gram(from(40, 6, numbers(4)));
  const rounded = from(40, 40, (i, j) => Math.fround(at(exact, i, j) * 10 ** (-(i + j) / 10)));
  expect((await symmetricEigen(engine, rounded, 0)).values.at(-1)).toBeLessThan(0);
  const product = gram(semidefiniteFactor(rounded));
  expect(largest(from(40, 40, (i, j) => at(product, i, j) - at(rounded, i, j)))).toBeLessThan(
    1e-6 * largest(rounded),
  );
});

test.each([
  [false, false],
  [true, false],
  [false, true],
  [true, true],
])('a product in float64, factors transposed: %s, %s', async (transA, transB) => {
  const [a, b] = [from(5, 7, numbers(1)), from(7, 3, numbers(2))];
  const product = await multiply(engine, transA ? turned(a) : a, transB ? turned(b) : b, { transA, transB });
  expect([product.rows, product.columns]).toEqual([5, 3]);
  const wanted = plain(a, b);
  expect(largest(from(5, 3, (i, j) => at(product, i, j) - at(wanted, i, j)))).toBeLessThan(1e-15);
  await expect(multiply(engine, a, a)).rejects.toThrow('do not fit');
});

test('vectors in the span of those before them become others', async () => {
  const rows = Float64Array.of(1, 1, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0);
  const made = matrix(4, 4, rows);
  await orthonormaliseRows(engine, made);
  const products = gram(made);
  expect(largest(from(4, 4, (i, j) => at(products, i, j) - Number(i === j)))).toBeLessThan(1e-14);
  expect(made.data[0]).toBeCloseTo(Math.SQRT1_2, 15);
  expect(made.data[1]).toBe(made.data[0]);
});
