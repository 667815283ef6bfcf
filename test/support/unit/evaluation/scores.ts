// Scores of rows, for tests.
import type { RowScores } from '../../../../src/evaluation/cells.ts';

/** Rows of these values, all of one weight. */
export const scoresOf = (values: readonly number[], weight = 1): RowScores => ({
  values: Float64Array.from(values),
  weights: new Float64Array(values.length).fill(weight),
});
