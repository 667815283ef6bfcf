// Medians and spreads of a few numbers.

/** The middle one; the mean of the two middle ones where their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export type Spread = 'std' | 'mad';

/** Makes the median absolute deviation of a normal distribution its standard deviation. */
const madScale = 1.4826;

/** How far each value lies from the median, in spreads; 0 where it is the median, whatever the spread. */
export function scores(values: readonly number[], spread: Spread): number[] {
  const middle = median(values);
  const deviations = values.map((value) => Math.abs(value - middle));
  const unit = spread === 'mad' ? madScale * median(deviations) : standardDeviation(values);
  return deviations.map((deviation) => (deviation === 0 ? 0 : deviation / unit));
}

/** Over all of them, not of a sample: NumPy's default. */
function standardDeviation(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** With four digits, for people. */
export const short = (value: number): string => String(Number(value.toPrecision(4)));
