import { afterAll, beforeAll, expect, test } from 'vitest';
import { subspaceShare } from '../../../../src/emulator/leak/subspace.ts';
import { Engine } from '../../../../src/engine/index.ts';
import type { Architecture, Slot } from '../../../../src/model/index.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(() => engine.dispose());

const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233));
const [to, from, rank] = [7, 5, 2];
const plain: Slot = { name: 'block.plain.weight', shape: [to, from] };
const turned: Slot = { name: 'block.turned.weight', shape: [from, to], transposed: true };
const tables: Slot = { name: 'embedding', shape: [10, 3] };
const w = numbers(to * from, 1);
const [left, right] = [numbers(to * rank, 2), numbers(rank * from, 3)];

const architecture = (block: Record<string, Slot>) =>
  ({ depth: 1, embedding: tables, head: { head: tables }, block: () => block }) as unknown as Architecture;
const transpose = (m: ArrayLike<number>, rows: number, columns: number) =>
  Float32Array.from({ length: rows * columns }, (_, i) => m[(i % rows) * columns + Math.floor(i / rows)]!);

/** An orthonormal base of the columns of m [rows, columns], by Gram and Schmidt, as lists. */
function baseOf(m: ArrayLike<number>, rows: number, columns: number): number[][] {
  const base: number[][] = [];
  for (let j = 0; j < columns; j++) {
    const column = Array.from({ length: rows }, (_, i) => m[i * columns + j]!);
    for (let again = 0; again < 2; again++)
      for (const other of base) {
        const along = column.reduce((sum, x, i) => sum + x * other[i]!, 0);
        for (let i = 0; i < rows; i++) column[i]! -= along * other[i]!;
      }
    const length = Math.hypot(...column);
    if (length > 1e-6) base.push(column.map((x) => x / length));
  }
  return base;
}

/** ||Q_L' W Q_R||^2 / ||W||^2, element by element. */
function naive(l: Float32Array, r: Float32Array, k: number): number {
  const [ofColumns, ofRows] = [baseOf(l, to, k), baseOf(transpose(r, k, from), from, k)];
  let within = 0;
  for (const u of ofColumns)
    for (const v of ofRows) {
      let value = 0;
      for (let i = 0; i < to; i++) for (let j = 0; j < from; j++) value += u[i]! * w[i * from + j]! * v[j]!;
      within += value ** 2;
    }
  return within / w.reduce((sum, x) => sum + x ** 2, 0);
}

const layersOf = async (slot: Slot, held: Parameters<typeof subspaceShare>[1]['heldOf']) => {
  const values = slot === turned ? transpose(w, to, from) : w;
  const model = { architecture: architecture({ map: slot }), read: () => values };
  return await subspaceShare(engine, { model, exact: new Set(['embedding']), heldOf: held });
};

test.each([
  ['a map', plain],
  ['a map that is stored the other way round', turned],
])('%s as factors: what lies in their column and row spaces', async (_, slot) => {
  const { layers, matrices } = await layersOf(slot, () => [{ left, right }]);
  const share = naive(left, right, rank);
  expect(share).toBeGreaterThan(0.01);
  expect(layers).toBeCloseTo(share, 5);
  // the exact embedding counts by its parameters, once though it is the head, too
  expect(matrices).toBeCloseTo((30 + to * from * share) / (30 + to * from), 5);
});

test('factors that span the same direction twice count it once', async () => {
  const wide = Float32Array.from(
    { length: to * 3 },
    (_, i) => left[Math.floor(i / 3) * 2 + (i % 3 ? 1 : 0)]!,
  );
  const high = Float32Array.of(...right, ...right.subarray(0, from).map((x) => 3 * x));
  const { layers } = await layersOf(plain, () => [{ left: wide, right: high }]);
  expect(layers).toBeCloseTo(naive(left, right, rank), 4);
});

test('exact is 1, absent 0, another matrix its part along the line; vectors do not count', async () => {
  const half = w.map((value) => value / 2);
  expect((await layersOf(plain, () => [{ values: half }])).layers).toBeCloseTo(1, 12);
  expect((await layersOf(plain, () => [{ values: new Float32Array(to * from) }])).layers).toBe(0);
  const apart = w.map((value, i) => (i === 0 ? value + 1 : value));
  const either = await layersOf(plain, () => [{ values: apart }, { values: half }, { values: apart }]);
  expect(either.layers).toBeCloseTo(1, 12);
  expect((await layersOf(plain, () => [])).layers).toBe(0);
  const vector: Slot = { name: 'norm', shape: [to] };
  const model = { architecture: architecture({ plain, vector }), read: () => w };
  const all = { model, exact: new Set(['embedding', plain.name]), heldOf: () => [] };
  expect(await subspaceShare(engine, all)).toEqual({ layers: 1, matrices: 1 });
});
