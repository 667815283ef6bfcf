// How much of the model's matrices lies in what a bundle holds: exactly, as another matrix, or as the spaces of its factors.
import type { Engine, Tensor } from '../../engine/index.ts';
import { GraphBuilder } from '../../graph/index.ts';
import { type Model, mapSize, type Slot } from '../../model/index.ts';

/** The share of the energy (squared Frobenius norm) of the model's matrices that a bundle holds, by parameters. */
export interface SubspaceShare {
  /** Of all matrices: embedding and head, too. */
  readonly matrices: number;
  /** Of those of the layers alone. */
  readonly layers: number;
}

/** What a bundle holds of a matrix that it does not hold exactly. */
export type Held =
  /** A matrix in its place. */
  | { readonly values: Float32Array }
  /** A product in its place, whichever way round the matrix is stored: left [to, rank] and right [rank, from], row-major. */
  | { readonly left: Float32Array; readonly right: Float32Array };

export interface SubspaceInput {
  readonly model: Pick<Model, 'architecture' | 'read'>;
  /** The tensors' names that the bundle holds bit by bit. */
  readonly exact: ReadonlySet<string>;
  /** What the bundle holds of a matrix that it does not hold exactly; of several the one that tells most counts. */
  readonly heldOf: (slot: Slot) => readonly Held[];
}

/**
 * Of each of the model's matrices the share that the bundle holds; the mean by parameters. A matrix at several places counts
 * once. One matrix and what is held of it are in memory.
 */
export async function subspaceShare(
  engine: Engine,
  { model, exact, heldOf }: SubspaceInput,
): Promise<SubspaceShare> {
  const { architecture } = model;
  const mean = async (slots: Iterable<Slot>): Promise<{ held: number; all: number }> => {
    let [held, all] = [0, 0];
    for (const slot of new Map([...slots].map((slot) => [slot.name, slot])).values()) {
      if (slot.shape.length !== 2) continue;
      const size = slot.shape[0]! * slot.shape[1]!;
      all += size;
      if (exact.has(slot.name)) {
        held += size;
        continue;
      }
      let most = 0;
      for (const found of heldOf(slot))
        most = Math.max(most, await shareOf(engine, slot, model.read(slot.name), found));
      held += size * most;
    }
    return { held, all };
  };
  const { embedding, embedder, head } = architecture;
  const ends = await mean([embedding, ...Object.values(embedder?.slots ?? {}), ...Object.values(head)]);
  const layers = { held: 0, all: 0 };
  for (let layer = 0; layer < architecture.depth; layer++) {
    const { held, all } = await mean(Object.values(architecture.block(layer)));
    layers.held += held;
    layers.all += all;
  }
  return {
    matrices: (ends.held + layers.held) / (ends.all + layers.all),
    layers: layers.held / layers.all,
  };
}

/** The share of a matrix' energy in what is held: 1 - ||W - P(W)||^2 / ||W||^2 for the projection P on it. */
async function shareOf(engine: Engine, slot: Slot, values: Float32Array, held: Held): Promise<number> {
  const energy = dot(values, values);
  // of a matrix of zeros everything is known
  if (energy === 0) return 1;
  // the line through a matrix: its scale is free, as a product's core is
  if ('values' in held) return dot(values, held.values) ** 2 / (dot(held.values, held.values) * energy || 1);
  return Math.min(1, (await energyWithin(engine, slot, values, held)) / energy);
}

/**
 * The energy of the map W in the column space of L and the row space of R: ||P_L W P_R||^2 = tr((L'L)^-1 M (RR')^-1 M') for
 * M = L' W R'. The products are the engine's, the rest is of the rank's size and in float64.
 */
async function energyWithin(
  engine: Engine,
  slot: Slot,
  values: Float32Array,
  { left, right }: { readonly left: Float32Array; readonly right: Float32Array },
): Promise<number> {
  const { to, from } = mapSize(slot);
  const { shape, transposed: transB = false } = slot;
  const rank = left.length / to;
  const session = await engine.session(`spaces of factors ${shape} by ${rank} ${transB}`, () => {
    const g = new GraphBuilder();
    const w = g.input('w', 'float32', shape);
    const l = g.input('l', 'float32', [to, rank]);
    const r = g.input('r', 'float32', [rank, from]);
    g.output('ll', g.matmul(l, l, { transA: true }));
    g.output('rr', g.matmul(r, r, { transB: true }));
    g.output('m', g.matmul(g.matmul(l, w, { transA: true, transB }), r, { transB: true }));
    return g;
  });
  const tensor = (data: Float32Array, shape: readonly number[]): Tensor => ({
    dtype: 'float32',
    shape,
    data,
  });
  const found = await session.run({
    w: tensor(values, shape),
    l: tensor(left, [to, rank]),
    r: tensor(right, [rank, from]),
  });
  const matrixOf = (name: string) => Float64Array.from(found[name]!.data as Float32Array);
  const m = matrixOf('m');
  const byLeft = whitened(choleskyOf(matrixOf('ll'), rank), m, rank);
  const byBoth = whitened(choleskyOf(matrixOf('rr'), rank), transposed(byLeft, rank), rank);
  return dot(byBoth, byBoth);
}

/** Directions of less than this share of the greatest are rounding. */
const leastPivot = 1e-7;

/**
 * The lower factor F of F F' = A, row-major, in place of A's lower half; a direction that the others span already has a zero on
 * the diagonal.
 */
function choleskyOf(a: Float64Array, n: number): Float64Array {
  let greatest = 0;
  for (let i = 0; i < n; i++) greatest = Math.max(greatest, a[i * n + i]!);
  for (let j = 0; j < n; j++) {
    let pivot = a[j * n + j]!;
    for (let k = 0; k < j; k++) pivot -= a[j * n + k]! ** 2;
    const spanned = pivot <= leastPivot * greatest;
    const root = spanned ? 0 : Math.sqrt(pivot);
    a[j * n + j] = root;
    for (let i = j + 1; i < n; i++) {
      let value = a[i * n + j]!;
      for (let k = 0; k < j; k++) value -= a[i * n + k]! * a[j * n + k]!;
      a[i * n + j] = spanned ? 0 : value / root;
    }
  }
  return a;
}

/** F^-1 M, row-major, in place of M; rows of spanned directions become zero. */
function whitened(factor: Float64Array, m: Float64Array, n: number): Float64Array {
  for (let i = 0; i < n; i++) {
    const row = m.subarray(i * n, (i + 1) * n);
    for (let k = 0; k < i; k++) {
      const weight = factor[i * n + k]!;
      if (weight === 0) continue;
      const other = m.subarray(k * n, (k + 1) * n);
      for (let j = 0; j < n; j++) row[j]! -= weight * other[j]!;
    }
    const root = factor[i * n + i]!;
    for (let j = 0; j < n; j++) row[j] = root === 0 ? 0 : row[j]! / root;
  }
  return m;
}

function transposed(m: Float64Array, n: number): Float64Array {
  const result = new Float64Array(m.length);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) result[j * n + i] = m[i * n + j]!;
  return result;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
