// What attackers send in the place of their changes, each a published attack on the mean; all know every honest change.
import type { Random } from '../../src/data/index.ts';
import { asFarAsTwo, asFarInAll, chosenByKrum, farthest, type Hiding } from './hiding.ts';
import { attackers } from './settings.ts';

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
    make: ({ honest }) => below(honest, 0.5),
  },
  {
    name: 'min-max',
    sent: 'mean - γ std, γ the largest that is no farther from any honest change than two of them are (NDSS 2021)',
    together: true,
    make: ({ honest }) => hidden(honest, asFarAsTwo(honest)),
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
    name: 'min-sum',
    sent: 'the same, of the sum of squared distances to the honest changes and the largest such sum of one of them (NDSS 2021)',
    together: true,
    make: ({ honest }) => hidden(honest, asFarInAll(honest)),
  },
  {
    name: 'against Krum',
    sent: 'mean - γ std, γ the largest with which Krum chooses it (NDSS 2021)',
    together: true,
    make: ({ honest }) => hidden(honest, chosenByKrum(honest, attackers)),
  },
  {
    name: 'against the median',
    sent: 'of each weight a value beyond all honest ones, up to twice as far, against the sign of their mean (arXiv 1911.11815)',
    make: ({ honest }, random) => beyond(honest, random),
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

const below = (honest: readonly Float32Array[], times: number): Float32Array => {
  const mean = meanOf(honest);
  const deviation = deviationOf(honest, mean);
  return mean.map((value, i) => value - times * deviation[i]!);
};

/** As far below the mean as the rule does not see it. */
function hidden(honest: readonly Float32Array[], isHidden: Hiding): Float32Array {
  const mean = meanOf(honest);
  const deviation = deviationOf(honest, mean);
  return below(
    honest,
    farthest(
      honest,
      mean,
      deviation.map((value) => -value),
      isHidden,
    ),
  );
}

function beyond(honest: readonly Float32Array[], random: Random): Float32Array {
  const mean = meanOf(honest);
  return mean.map((middle, i) => {
    const values = honest.map((change) => change[i]!);
    const times = 1 + random.next() / 2 ** 32;
    const end = middle > 0 ? Math.min(...values) : Math.max(...values);
    // Away from zero where the end lies on the far side of it, else towards it.
    return middle > 0 === end > 0 ? end / times : end * times;
  });
}
