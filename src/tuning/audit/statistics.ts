// How well scores tell members from others, with intervals.

export interface Interval {
  readonly value: number;
  /** Ends of the 95 % interval. */
  readonly low: number;
  readonly high: number;
}

/** Of the standard normal: 97.5 %. */
const normalQuantile = 1.959963984540054;
const tail = 0.025;

/**
 * The probability that a member's score is above another's, ties by half, with the variance of DeLong et al. (Biometrics
 * 44(3), 1988). Where that is 0 (they do not overlap) the end is Clopper and Pearson's of as many pairs as there are rows of
 * the fewer.
 */
export function areaUnderCurve(members: readonly number[], others: readonly number[]): Interval {
  const shareBelow = (sorted: readonly number[]) => (score: number) =>
    (countBelow(sorted, score, false) + countBelow(sorted, score, true)) / (2 * sorted.length);
  const ofMembers = members.map(shareBelow(ascending(others)));
  const ofOthers = others.map(shareBelow(ascending(members)));
  const value = mean(ofMembers);
  const deviation = Math.sqrt(variance(ofMembers) / members.length + variance(ofOthers) / others.length);
  if (deviation > 0) return around(value, normalQuantile * deviation, 1);
  const pairs = Math.min(members.length, others.length);
  return { value, ...exactInterval(Math.round(value * pairs), pairs) };
}

/**
 * The share of members above the threshold that another one, drawn as the others were, is above with a probability of at most
 * `rate`: the floor(rate (n + 1))-th highest of the n others, at least the highest (as a p-value by rank: Phipson and Smyth, Stat.
 * Appl. Genet. Mol. Biol. 9(1), 2010). The interval is of the share above the quantile of 1 - `rate` of all that others could be:
 * the quantile's own interval by order statistics and that of Clopper and Pearson at its ends, each with half of the error.
 */
export function truePositives(members: readonly number[], others: readonly number[], rate: number): Interval {
  const sorted = ascending(members);
  const highest = ascending(others).reverse();
  const foundAt = (rank: number) => members.length - countBelow(sorted, highest[rank - 1]!, true);
  const { least, most } = ranksOfQuantile(others.length, rate);
  return {
    value: foundAt(rankAt(rate, others.length)) / members.length,
    low: least === 0 ? 0 : exactInterval(foundAt(least), members.length, tail / 2).low,
    high: most > others.length ? 1 : exactInterval(foundAt(most), members.length, tail / 2).high,
  };
}

/** What is a whole number but for rounding is one. */
const rankAt = (rate: number, count: number): number => Math.max(1, Math.floor(rate * (count + 1) + 1e-9));

/**
 * Which of `count` draws, from the highest on, is surely not below the quantile of 1 - `rate` (0: none is), and which surely not above
 * it (`count` + 1: none is); each is wrong with a probability of at most half a tail.
 */
function ranksOfQuantile(count: number, rate: number): { least: number; most: number } {
  const upperTail = upperTailOf(count);
  let [least, most] = [0, 1];
  while (least < count && 1 - upperTail(least + 1, rate) <= tail / 2) least++;
  while (most <= count && upperTail(most, rate) > tail / 2) most++;
  return { least, most };
}

/** How many others there must be for an interval of true positives with a lower end. */
export const leastOthers = (rate: number): number => Math.ceil(Math.log(tail / 2) / Math.log1p(-rate));

/** The interval of Clopper and Pearson for `found` of `count`. @param outside the probability on each side of it */
export function exactInterval(found: number, count: number, outside = tail): Omit<Interval, 'value'> {
  const upperTail = upperTailOf(count);
  return {
    low: found === 0 ? 0 : root((p) => upperTail(found, p) - outside),
    high: found === count ? 1 : root((p) => outside - upperTail(count - found, 1 - p)),
  };
}

/** The mean of values between 0 and `most`, with a normal interval. */
export function meanWithin(values: readonly number[], most: number): Interval {
  return around(mean(values), normalQuantile * Math.sqrt(variance(values) / values.length), most);
}

const around = (value: number, by: number, most: number): Interval => ({
  value,
  low: Math.max(0, value - by),
  high: Math.min(most, value + by),
});

/**
 * P(X >= found) of a binomial of `count`, summed both ways from the largest of its terms: that of `found` alone is below any
 * float64 where thousands are counted and p lies far above.
 */
function upperTailOf(count: number): (found: number, p: number) => number {
  const factorials = logFactorials(count);
  const logTerm = (k: number, p: number) =>
    factorials[count]! -
    (factorials[k]! + factorials[count - k]!) +
    (k * Math.log(p) + (count - k) * Math.log1p(-p));
  return (found, p) => {
    const peak = Math.max(found, Math.floor(count * p));
    const odds = p / (1 - p);
    const largest = Math.exp(logTerm(peak, p));
    let sum = 0;
    for (let k = peak, term = largest; k <= count && term > sum * 1e-17; k++) {
      sum += term;
      term *= ((count - k) / (k + 1)) * odds;
    }
    for (let k = peak, term = largest; k > found && term > sum * 1e-17; k--) {
      term *= k / (count - k + 1) / odds;
      sum += term;
    }
    return Math.min(1, sum);
  };
}

/** ln k! of all k up to `most`. */
function logFactorials(most: number): Float64Array {
  const logs = new Float64Array(most + 1);
  for (let k = 1; k <= most; k++) logs[k] = logs[k - 1]! + Math.log(k);
  return logs;
}

/** Where a rising function of (0, 1) is 0. */
function root(of: (p: number) => number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (of(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const ascending = (values: readonly number[]) => [...values].sort((a, b) => a - b);

/** How many of the sorted values are below a score, or, with `equal`, not above it. */
function countBelow(sorted: readonly number[], score: number, equal: boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const isBelow = equal ? sorted[middle]! <= score : sorted[middle]! < score;
    if (isBelow) low = middle + 1;
    else high = middle;
  }
  return low;
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

function variance(values: readonly number[]): number {
  const middle = mean(values);
  return values.reduce((sum, x) => sum + (x - middle) ** 2, 0) / Math.max(1, values.length - 1);
}
