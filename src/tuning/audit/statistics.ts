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
 * The share of members above the lowest threshold that at most `rate` of the others are above; the interval is exact for that
 * threshold.
 */
export function truePositives(members: readonly number[], others: readonly number[], rate: number): Interval {
  const threshold = ascending(others)[others.length - 1 - Math.floor(rate * others.length)]!;
  const found = members.filter((score) => score > threshold).length;
  return { value: found / members.length, ...exactInterval(found, members.length) };
}

/** The interval of Clopper and Pearson for `found` of `count`. */
export function exactInterval(found: number, count: number): Omit<Interval, 'value'> {
  return {
    low: found === 0 ? 0 : root((p) => upperTail(found, count, p) - tail),
    high: found === count ? 1 : root((p) => tail - upperTail(count - found, count, 1 - p)),
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

/** P(X >= found) of a binomial, summed upwards from `found`, where the terms fall for every p that is asked about in the end. */
function upperTail(found: number, count: number, p: number): number {
  let log = found * Math.log(p) + (count - found) * Math.log1p(-p);
  for (let i = 1; i <= found; i++) log += Math.log((count - found + i) / i);
  let term = Math.exp(log);
  let sum = 0;
  for (let k = found; k <= count && (term > sum * 1e-17 || k < count * p); k++) {
    sum += term;
    term *= ((count - k) / (k + 1)) * (p / (1 - p));
  }
  return Math.min(1, sum);
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
