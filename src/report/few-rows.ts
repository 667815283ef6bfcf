// Whether the rows behind a difference are too few to decide by its interval, told from the figures that a status has.
import { countsRows } from '../api/index.ts';
import { signTest } from '../evaluation/index.ts';
import { isPerplexity } from './figures.ts';

/** Of fewer rows the bootstrap's interval excludes zero in far more than 5% of the cases in which nothing differs. */
const leastRows = 10;

/** Above so much a p-value decides nothing. */
const level = 0.05;

/** How many rows must go one way at least, where none goes the other: 2 * 0.5 ** 5 is above the level. */
const leastOneWay = 6;

/** Half of a status figure's last decimal. */
const rounding = 0.5e-4;

/** Of the standard normal: 97.5%. */
const normalQuantile = 1.96;

/** What a status tells of two cells, as far as it bears on how many rows differ between them. */
interface Figures {
  readonly metric: string;
  readonly samples: number;
  /** Of the two cells. */
  readonly values: readonly [number, number];
  readonly lead: number;
  readonly stderr: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Why a difference's rows are too few to decide anything; undefined where they are not. A bootstrap draws from the rows that
 * differ alone: of four that go one way the interval excludes zero, as they do in one of eight cases in which nothing differs.
 */
export function doubtOfFew(figures: Figures): string | undefined {
  if (figures.samples < leastRows) return `fewer than ${leastRows} rows`;
  // No other interval decides anything.
  if (!(figures.low > 0 || figures.high < 0)) return undefined;
  if (countsRows(figures.metric)) {
    const p = mcNemar(figures);
    if (p < level) return undefined;
    return `the rows that differ are too few or too even (McNemar's exact test, p about ${p.toFixed(3)})`;
  }
  if (rowsBehind(figures) >= leastOneWay) return undefined;
  return `fewer than ${leastOneWay} rows may make all of the difference`;
}

/**
 * McNemar's exact test of the rows that differ. How many do follows from the error, since n stderr² + lead² is their share of
 * all rows; where rounding leaves it open, the lead is the least and the rows that differ are the most that give the figures.
 */
function mcNemar({ samples, values: [a, b], lead, stderr }: Figures): number {
  const ahead = Math.ceil((Math.abs(lead) - rounding) * samples - 1e-9);
  const byError = samples * (samples * (stderr + rounding) ** 2 + lead ** 2);
  // No more can differ than if one model were right only where the other is wrong, or wrong only where it is right.
  const byCells = samples * (Math.min(a + b, 2 - a - b) + 2 * rounding);
  const behind = Math.max(0, Math.round((Math.min(byError, byCells) - ahead) / 2));
  return signTest(ahead + behind, behind);
}

/**
 * How many rows differ at the least: Σd² / Σd², the square of the sum by the sum of squares, is never more than the rows that differ,
 * and of rows that go one way alike it is their number. From 5.83 on, coins give such a lead in under 5% of cases, whatever the
 * rows' sizes (Bentkus and Dzindzalieta, Bernoulli 21(2), 2015). Perplexities are compared by their logarithms, as which rows add up.
 */
function rowsBehind({ metric, samples, values, lead, low, high }: Figures): number {
  const base = Math.min(...values);
  const scaled = (x: number) => {
    const size = Math.min(Math.abs(x), Number.MAX_VALUE);
    return isPerplexity(metric) ? Math.log1p(size / base) : size;
  };
  const stderr = Math.abs(scaled(high) - scaled(low)) / (2 * normalQuantile);
  return 1 / ((stderr / scaled(lead)) ** 2 + 1 / samples);
}
