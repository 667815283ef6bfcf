// Matrices in float64, and products of them, which the engine computes.
import type { Engine } from '../../engine/index.ts';
import { GraphBuilder, type Value } from '../../graph/index.ts';

/** Row-major: element (i, j) is data[i * columns + j]. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** A matrix of given numbers, copied into float64, or of zeros. */
export function matrix(rows: number, columns: number, values?: ArrayLike<number>): Matrix {
  const data = new Float64Array(rows * columns);
  if (values !== undefined) data.set(values);
  return { rows, columns, data };
}

/** The other way round. */
export function transposed({ rows, columns, data }: Matrix): Matrix {
  const turned = matrix(columns, rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned.data[j * rows + i] = data[i * columns + j]!;
  return turned;
}

/** a -= b. */
export function subtract(a: Matrix, b: Matrix): void {
  for (let i = 0; i < a.data.length; i++) a.data[i]! -= b.data[i]!;
}

/**
 * A B in float64, a factor transposed where it is asked for. Equal numbers give equal bits on an engine of equal threads.
 * @throws OffsiteError Cancelled when the stage is to stop
 */
export async function multiply(
  engine: Engine,
  a: Matrix,
  b: Matrix,
  { transA = false, transB = false }: { transA?: boolean; transB?: boolean } = {},
): Promise<Matrix> {
  const [rows, inner] = transA ? [a.columns, a.rows] : [a.rows, a.columns];
  const [innerB, columns] = transB ? [b.columns, b.rows] : [b.rows, b.columns];
  if (inner !== innerB)
    throw new Error(`multiply: [${rows}, ${inner}] and [${innerB}, ${columns}] do not fit`);
  const key = `float64 product ${[a.rows, a.columns, b.rows, b.columns, transA, transB].join()}`;
  const session = await engine.session(key, () => {
    const g = new GraphBuilder();
    const factor = (name: string, { rows, columns }: Matrix, turn: boolean): Value => {
      const value = g.input(name, 'float64', [rows, columns]);
      return turn ? g.transpose(value, [1, 0]) : value;
    };
    const factors = [factor('a', a, transA), factor('b', b, transB)];
    // The fused product that layers use takes no float64.
    g.output('product', g.apply('MatMul', factors, [rows, columns]));
    return g;
  });
  const { product } = await session.run({ a: tensorOf(a), b: tensorOf(b) });
  return { rows, columns, data: product!.data as Float64Array };
}

const tensorOf = ({ rows, columns, data }: Matrix) => ({
  dtype: 'float64' as const,
  shape: [rows, columns],
  data,
});
