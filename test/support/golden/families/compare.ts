import { type Described, unpacked } from './fixture.ts';

/**
 * How far values are from what a fixture describes, relative to its root mean square: by `most` of the sampled elements,
 * and by the norm.
 * @param least the root mean square below which there is nothing but rounding (a key's bias has no gradient)
 */
export function describedDifference(
  values: Float32Array,
  { norm, sample }: Described,
  { most = largest, least = 0 }: { most?: typeof largest; least?: number } = {},
): number {
  const expected = unpacked(sample);
  const ours = expected.map((_, i) => values[Math.floor((i * values.length) / expected.length)]!);
  const size = norm / Math.sqrt(values.length);
  const scale = Math.max(size, least);
  const difference = most(ours.map((value, i) => value - expected[i]!)) / scale;
  return Math.max(difference, Math.abs(rms(values) - size) / scale);
}

/** The largest difference, relative to the root mean square of `b`. */
export const relative = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length ? largest(Float64Array.from(a, (value, i) => value - b[i]!)) / rms(b) : Number.NaN;

function largest(values: ArrayLike<number>): number {
  let most = 0;
  // not Math.max: NaN must not be passed over
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) <= most)) most = Math.abs(values[i]!);
  return most;
}

/** The root mean square. */
export function rms(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum / values.length);
}
