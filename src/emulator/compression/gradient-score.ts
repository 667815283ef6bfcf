// Which components of a linear map to keep where the adapter's gradient matters and not the map's own output.
import type { Engine } from '../../engine/index.ts';
import { type Matrix, matrix, multiply } from '../algebra/matrix.ts';
import { dot } from '../algebra/vectors.ts';
import type { InputMoments, MapGradients } from '../observe/observations.ts';

/** The share of all components, of the largest energies, that stay whatever their score. */
const alwaysKept = 0.05;

/**
 * GradOT's score (gradient-compression sensitivity, arXiv 2507.04455) of dropping each direction u, which changes W by
 * delta = -u a^T with a = W^T u: |H delta|_1 - lambda (dL/dW . delta), the Hessian H by Kronecker factors, so that H delta = G delta A
 * with G = E[g g^T] of the outputs' gradients and A = E[x x^T] of the inputs, and its norm is |G u|_1 |A a|_1. The gradients observed
 * are of the mean loss over N tokens, so that what one token's own would be is N times as much: H is N^2 G (x) A. The first term is
 * what the adapter's gradient loses; the second, times lambda, what the loss of the emulator gains. The least is the best to drop.
 */
export async function gradientScores(
  engine: Engine,
  w: Matrix,
  directions: Matrix,
  { second, tokens }: InputMoments,
  { outputs, weight }: MapGradients,
  lambda: number,
): Promise<Float64Array> {
  const [to, from] = [w.rows, w.columns];
  const a = await multiply(engine, directions, w);
  const ga = await multiply(engine, directions, matrix(to, to, outputs));
  const aa = await multiply(engine, a, matrix(from, from, second));
  const slopes = await multiply(engine, directions, matrix(to, from, weight));
  return Float64Array.from({ length: directions.rows }, (_, r) => {
    const slope = dot(slopes.data, r * from, a.data, r * from, from);
    return tokens ** 2 * norm1(ga, r) * norm1(aa, r) + lambda * slope;
  });
}

/** The `rank` components that stay, in rising order: the largest ones always, then those of the highest scores. */
export function keptByScore(scores: Float64Array, rank: number): number[] {
  const always = Math.min(rank, Math.ceil(alwaysKept * scores.length));
  const others = [...scores.keys()].slice(always);
  others.sort((i, j) => scores[j]! - scores[i]! || i - j);
  return [...Array(always).keys(), ...others.slice(0, rank - always).sort((i, j) => i - j)];
}

function norm1({ columns, data }: Matrix, row: number): number {
  let sum = 0;
  for (let i = row * columns; i < (row + 1) * columns; i++) sum += Math.abs(data[i]!);
  return sum;
}
