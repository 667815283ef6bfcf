import { describe, expect, test } from 'vitest';
import { lossOf } from '../../../src/evaluation/loss.ts';

describe('the loss', () => {
  const example = { trunk: [1], branches: [[2], [3]], bytes: [1, 1] };

  test('of questions is the right answer’s, by its tokens', () => {
    const rows = [
      { row: 0, logLikelihood: [0, -1, -8], tokens: [0, 1, 4] },
      { row: 1, logLikelihood: [0, -3, -2], tokens: [0, 3, 1] },
    ];
    const examples = [
      { ...example, row: 0, answer: 1 },
      { ...example, row: 1, answer: 0 },
    ];
    expect(lossOf(rows, examples)).toBeCloseTo((8 + 3) / (4 + 3), 12);
  });

  test('of text is every token’s', () => {
    const rows = [{ row: 0, logLikelihood: [-6], tokens: [4] }];
    expect(lossOf(rows, [{ row: 0, trunk: [1], branches: [], bytes: [] }])).toBe(1.5);
  });
});
