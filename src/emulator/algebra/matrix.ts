// Matrices in float64, and products of them, which the engine computes.
import type { Engine } from '../../engine/index.ts';
import { GraphBuilder, type Value } from '../../graph/index.ts';

/** How many rows are computed at a time where the first ones must not depend on how many there are. */
export const blockSize = 32;

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

/** The first rows, not copied. */
export const firstRows = ({ columns, data }: Matrix, rows: number): Matrix => ({
  ...{ rows, columns },
  data: data.subarray(0, rows * columns),
});

/** All rows in blocks of `blockSize`, of which the last one may have fewer; not copied. */
export function rowBlocks({ rows, columns, data }: Matrix): Matrix[] {
  return Array.from({ length: Math.ceil(rows / blockSize) }, (_, block) => {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, rows);
    return { rows: end - start, columns, data: data.subarray(start * columns, end * columns) };
  });
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

/**
 * A B, a block of A's rows at a time: the rows of whole blocks have the same bits however many blocks follow.
 * @throws OffsiteError Cancelled when the stage is to stop
 */
export async function multiplyBlocks(
  engine: Engine,
  a: Matrix,
  b: Matrix,
  options: { transB?: boolean } = {},
): Promise<Matrix> {
  const product = matrix(a.rows, options.transB ? b.rows : b.columns);
  for (const [block, rows] of rowBlocks(a).entries()) {
    const { data } = await multiply(engine, rows, b, options);
    product.data.set(data, block * blockSize * product.columns);
  }
  return product;
}

const tensorOf = ({ rows, columns, data }: Matrix) => ({
  dtype: 'float64' as const,
  shape: [rows, columns],
  data,
});
