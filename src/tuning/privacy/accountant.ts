// What DP-SGD guarantees: the Rényi accountant of the Gaussian mechanism on rows that were drawn by Poisson sampling.

/** What the guarantee of a training follows from. */
export interface Mechanism {
  /** The probability q with which each row is in a step, in (0, 1]. */
  readonly samplingRate: number;
  /** Standard deviation of the noise over the largest norm of a row's gradient. */
  readonly noiseMultiplier: number;
  /** Steps that draw rows and add noise. */
  readonly steps: number;
}

/** The orders that are tried. */
const [leastOrder, mostOrder] = [2, 255];
const logs = Float64Array.from({ length: mostOrder + 2 }, (_, k) => Math.log(k));

/** Noise multipliers are looked for in steps of this, up to the largest. */
const noiseStep = 1e-4;
const leastNoise = 101;
const mostNoise = 1e10;

/**
 * The Rényi divergence of one step at an integer order (arXiv 1908.10530, section 3.3):
 * ln(sum over k of C(order, k) (1-q)^(order-k) q^k exp((k^2-k) / (2 sigma^2))) / (order - 1), summed in log space.
 */
export function renyiOf(
  { samplingRate: q, noiseMultiplier }: Pick<Mechanism, 'samplingRate' | 'noiseMultiplier'>,
  order: number,
): number {
  const pairs = (k: number) => (k * k - k) / (2 * noiseMultiplier * noiseMultiplier);
  if (q >= 1) return pairs(order) / (order - 1);
  const [inside, outside] = [Math.log(q), Math.log1p(-q)];
  const terms = new Float64Array(order + 1);
  let binomial = 0;
  for (let k = 0; k <= order; k++) {
    terms[k] = binomial + (order - k) * outside + k * inside + pairs(k);
    binomial += logs[order - k]! - logs[k + 1]!;
  }
  return logSum(terms) / (order - 1);
}

/**
 * The least epsilon of (epsilon, delta) over the orders, never below 0: T R(a) + ln((a-1)/a) - (ln delta + ln a) / (a-1)
 * (arXiv 2004.00010, proposition 12).
 */
export function epsilonOf(
  { steps, ...mechanism }: Mechanism,
  delta: number,
): { epsilon: number; order: number } {
  let best = { epsilon: Number.POSITIVE_INFINITY, order: leastOrder };
  for (let order = leastOrder; order <= mostOrder; order++) {
    const epsilon =
      steps * renyiOf(mechanism, order) +
      Math.log((order - 1) / order) -
      (Math.log(delta) + Math.log(order)) / (order - 1);
    if (epsilon < best.epsilon) best = { epsilon: Math.max(0, epsilon), order };
  }
  return best;
}

/**
 * The least noise multiplier, a multiple of 0.0001 above 0.01, that guarantees (epsilon, delta), by bisection.
 * @returns undefined where a million is not enough: no order tells so small an epsilon
 */
export function noiseFor(
  target: { epsilon: number; delta: number },
  mechanism: Omit<Mechanism, 'noiseMultiplier'>,
): number | undefined {
  const multiplier = (steps: number) => steps / Math.round(1 / noiseStep);
  const isEnough = (steps: number) =>
    epsilonOf({ ...mechanism, noiseMultiplier: multiplier(steps) }, target.delta).epsilon <= target.epsilon;
  if (!isEnough(mostNoise)) return undefined;
  let [low, high] = [leastNoise - 1, mostNoise];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isEnough(middle)) high = middle;
    else low = middle;
  }
  return multiplier(high);
}

/** ln(sum of exp). */
function logSum(terms: Float64Array): number {
  const most = terms.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - most), 0));
}
