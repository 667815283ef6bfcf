// How far from the mean of the honest changes an attacker's may lie before a rule sees it.
import { krumScores } from '../../src/plugin/aggregation/krum.ts';

/** Whether attackers, who all send one change, are not seen: by its squared distances from the honest ones, in their order. */
export type Hiding = (squares: readonly number[]) => boolean;

/** Not farther from any honest change than two of these from each other. */
export function asFarAsTwo(honest: readonly Float32Array[]): Hiding {
  const most = Math.max(...distancesOf(honest).flat());
  return (squares) => Math.max(...squares) <= most;
}

/** Not farther from all honest changes together than one of these. */
export function asFarInAll(honest: readonly Float32Array[]): Hiding {
  const most = Math.max(...distancesOf(honest).map(sum));
  return (squares) => sum(squares) <= most;
}

/** Krum takes it before any honest change. */
export function chosenByKrum(honest: readonly Float32Array[], attackers: number): Hiding {
  const between = distancesOf(honest);
  const all = Array.from({ length: honest.length + attackers }, (_, party) => party);
  const isHonest = (party: number) => party < honest.length;
  return (squares) => {
    const squared = (a: number, b: number): number => {
      if (isHonest(a)) return isHonest(b) ? between[a]![b]! : squares[a]!;
      return isHonest(b) ? squares[b]! : 0;
    };
    const scores = krumScores(all, { squared }, attackers);
    return Math.min(...scores) === scores.at(-1) && !scores.slice(0, honest.length).includes(scores.at(-1)!);
  };
}

/** The largest number of directions from the mean at which the change is hidden; by halving from 10 on. */
export function farthest(
  honest: readonly Float32Array[],
  mean: Float32Array,
  direction: Float32Array,
  isHidden: Hiding,
): number {
  // |mean + t direction - g|^2 = |mean - g|^2 + 2 t (mean - g) direction + t^2 |direction|^2
  const terms = honest.map((change) => {
    let [constant, linear, square] = [0, 0, 0];
    for (let i = 0; i < change.length; i++) {
      const difference = mean[i]! - change[i]!;
      constant += difference * difference;
      linear += difference * direction[i]!;
      square += direction[i]! * direction[i]!;
    }
    return { constant, linear, square };
  });
  const squaresAt = (t: number) =>
    terms.map(({ constant, linear, square }) => constant + 2 * t * linear + t * t * square);
  let [found, t, step] = [0, 10, 5];
  while (step > 1e-5) {
    if (isHidden(squaresAt(t))) {
      found = t;
      t += step;
    } else t -= step;
    step /= 2;
  }
  return found;
}

const distancesOf = (vectors: readonly Float32Array[]): number[][] =>
  vectors.map((a) => vectors.map((b) => squared(a, b)));

function squared(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
