// What attackers send in the place of their changes, each a published attack on the mean; all know every honest change.
import type { Random } from '../../src/data/index.ts';

/** Changes as flat vectors. */
export interface Known {
  /** The others', who are honest. */
  readonly honest: readonly Float32Array[];
  /** The attacker's own, honestly trained. */
  readonly own: Float32Array;
}

export interface Attack {
  readonly name: string;
  /** What is sent, in words. */
  readonly sent: string;
  /** Whether the attacker's own rows had rotated answers; then its change is sent as it is. */
  readonly flipped?: true;
  /** Whether all send the same; each then scales it by another millionth, since equal tensors are refused. */
  readonly together?: true;
  make(known: Known, random: Random): Float32Array;
}

export const attacks: readonly Attack[] = [
  { name: 'none', sent: 'what they trained', make: ({ own }) => own },
  { name: 'sign flip', sent: '-10 g', make: ({ own }) => own.map((value) => -10 * value) },
  {
    name: 'ALIE',
    sent: 'mean - 0.5 std of the honest (arXiv 1902.06156)',
    together: true,
    make: ({ honest }) => along(honest, 0.5),
  },
  {
    name: 'min-max',
    sent: 'mean - γ std, γ the largest that is no farther from any honest change than two of them are (NDSS 2021)',
    together: true,
    make: ({ honest }) => along(honest, largestHidden(honest)),
  },
  {
    name: 'label flip',
    sent: 'what they trained on rotated answers',
    flipped: true,
    make: ({ own }) => own,
  },
  {
    name: 'noise',
    sent: 'g + N(0, 0.5²)',
    make: ({ own }, random) => {
      const noise = normal(random, 0.5);
      return own.map((value) => value + noise());
    },
  },
  { name: 'scaling', sent: '100 g', make: ({ own }) => own.map((value) => 100 * value) },
  {
    name: 'inner product',
    sent: '-0.5 mean of the honest (arXiv 1903.03936)',
    together: true,
    make: ({ honest }) => meanOf(honest).map((value) => -0.5 * value),
  },
  {
    name: 'Gaussian',
    sent: 'N(0, 0.5²)',
    make: ({ own }, random) => own.map(normal(random, 0.5)),
  },
  {
    name: 'not a number',
    sent: 'g with one NaN',
    make: ({ own }) => own.map((value, i) => (i === 0 ? Number.NaN : value)),
  },
  { name: 'huge', sent: '10⁶ g', make: ({ own }) => own.map((value) => 1e6 * value) },
  {
    name: 'several names',
    sent: 'one adapter three times',
    make: ({ honest }) => honest[0]!,
  },
];

/** Normal numbers with this standard deviation (Box and Muller). */
function normal(random: Random, deviation: number): () => number {
  const uniform = () => (random.next() + 0.5) / 2 ** 32;
  let kept: number | undefined;
  return () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const radius = deviation * Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  return vectors[0]!.map((_, i) => {
    let sum = 0;
    for (const vector of vectors) sum += vector[i]!;
    return sum / vectors.length;
  });
}

/** Over the vectors, n in the denominator. */
function deviationOf(vectors: readonly Float32Array[], mean: Float32Array): Float32Array {
  return mean.map((middle, i) => {
    let sum = 0;
    for (const vector of vectors) sum += (vector[i]! - middle) ** 2;
    return Math.sqrt(sum / vectors.length);
  });
}

function along(honest: readonly Float32Array[], times: number): Float32Array {
  const mean = meanOf(honest);
  const deviation = deviationOf(honest, mean);
  return mean.map((value, i) => value - times * deviation[i]!);
}

/** How many deviations from the mean lie as near to every honest change as the two farthest of these to each other; by halving from 10 on. */
export function largestHidden(honest: readonly Float32Array[]): number {
  const mean = meanOf(honest);
  const deviation = deviationOf(honest, mean);
  const most = Math.max(...honest.flatMap((a, i) => honest.slice(i + 1).map((b) => squared(a, b))));
  // |mean - t deviation - g|^2 = |mean - g|^2 - 2 t (mean - g) deviation + t^2 |deviation|^2
  const terms = honest.map((change) => {
    let [constant, linear, square] = [0, 0, 0];
    for (let i = 0; i < change.length; i++) {
      const difference = mean[i]! - change[i]!;
      constant += difference * difference;
      linear += difference * deviation[i]!;
      square += deviation[i]! * deviation[i]!;
    }
    return { constant, linear, square };
  });
  const isHidden = (t: number) =>
    terms.every(({ constant, linear, square }) => constant - 2 * t * linear + t * t * square <= most);
  let [found, t, step] = [0, 10, 5];
  while (step > 1e-5) {
    if (isHidden(t)) {
      found = t;
      t += step;
    } else t -= step;
    step /= 2;
  }
  return found;
}

function squared(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}
