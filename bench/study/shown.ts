// How the study's tables write what was estimated.
import type { Estimate } from '../../src/evaluation/index.ts';

/** As a status or the bootstrap has it. */
type Interval = Readonly<Record<'value' | 'low' | 'high', number | string>>;

/** A share or difference with what the bootstrap says of it; nothing where there is none. */
export function interval(found: Interval | undefined): string {
  if (found === undefined) return '';
  const [value, low, high] = [found.value, found.low, found.high].map((each) => Number(each).toFixed(2));
  return `${value} [${low}, ${high}]`;
}

/** A share with its standard error; nothing where there is none. */
export const withError = (found: Pick<Estimate, 'value' | 'stderr'> | undefined): string =>
  found === undefined ? '' : `${found.value.toFixed(3)} ± ${found.stderr.toFixed(3)}`;

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
