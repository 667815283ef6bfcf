import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OffsiteTuneSpec } from '../../../src/api/index.ts';
import type { PairLikelihood } from '../../../src/evaluation/index.ts';
import type { Pair, PairLoss } from '../../../src/training/pair-losses.ts';
import { aimOf } from '../../../src/tuning/objective.ts';

/** Of test/reference/preference.py, in float64 by autograd. */
interface Case extends Pair {
  objective: { type: 'dpo' | 'orpo' | 'simpo' } & Record<string, string | number>;
  reference: PairLikelihood;
  loss: number;
  slopes: [chosen: number, rejected: number];
}
const { cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/preference.json', import.meta.url), 'utf8'),
) as { cases: Case[] };

/** As a spec writes it. */
const lossOf = (objective: Case['objective']): PairLoss => {
  const texts = Object.entries(objective).map(([name, value]) => [name, String(value)]);
  return aimOf({ objective: Object.fromEntries(texts) as NonNullable<OffsiteTuneSpec['objective']> }).pairs!;
};
const objectives = [
  ...new Map(cases.map(({ objective }) => [JSON.stringify(objective), objective])).values(),
];

test('losses and slopes are those of TRL’s formulas in PyTorch', () => {
  expect(cases).toHaveLength(48);
  for (const { objective, chosen, rejected, reference, loss, slopes } of cases) {
    const found = lossOf(objective)({ chosen, rejected }, reference);
    const ours = [found.loss, found.chosen, found.rejected];
    for (const [i, expected] of [loss, ...slopes].entries())
      expect(Math.abs(ours[i]! - expected), JSON.stringify(objective)).toBeLessThanOrEqual(
        1e-12 + 1e-9 * Math.abs(expected),
      );
  }
});

const answer = fc.record({
  logLikelihood: fc.double({ min: -200, max: -0.01, noNaN: true }),
  tokens: fc.integer({ min: 1, max: 40 }),
});
const likelihood = fc.double({ min: -200, max: 0, noNaN: true });

describe.each(objectives)('%j', (objective) => {
  const loss = lossOf(objective);

  test('its slopes are those of its differences', () => {
    fc.assert(
      fc.property(answer, answer, likelihood, likelihood, (chosen, rejected, w, l) => {
        const reference = { chosen: w, rejected: l };
        const found = loss({ chosen, rejected }, reference);
        const at = (more: number, less: number) =>
          loss(
            {
              chosen: { ...chosen, logLikelihood: chosen.logLikelihood + more },
              rejected: { ...rejected, logLikelihood: rejected.logLikelihood + less },
            },
            reference,
          ).loss;
        const step = 1e-4;
        // the hinge has no slope where it begins
        if (objective['loss'] === 'hinge' && found.loss > 0 && found.loss < 1e-3) return;
        const differences = [at(step, 0) - at(-step, 0), at(0, step) - at(0, -step)];
        for (const [i, slope] of [found.chosen, found.rejected].entries())
          expect(Math.abs(differences[i]! / (2 * step) - slope)).toBeLessThan(
            1e-5 + 1e-4 * Math.max(Math.abs(slope), Math.abs(found.loss)),
          );
      }),
      { numRuns: 200 },
    );
  });

  test('answers that are certain, and such that are beyond any number, have finite losses and slopes', () => {
    const all = [0, -1e-300, -1e-9, -1e6, -3e38];
    for (const w of all)
      for (const l of all) {
        const pair = {
          chosen: { logLikelihood: w, tokens: 1 },
          rejected: { logLikelihood: l, tokens: 131_072 },
        };
        const found = loss(pair, { chosen: -1, rejected: -2 });
        // the square of what is beyond any float32 is still a number
        expect(Object.values(found).every(Number.isFinite), `${w} ${l}`).toBe(true);
      }
  });
});

test('what is absent has the defaults of the papers', () => {
  const pair = { chosen: { logLikelihood: -8, tokens: 4 }, rejected: { logLikelihood: -6, tokens: 3 } };
  const reference = { chosen: -9, rejected: -5 };
  const given = {
    dpo: { beta: '0.1', loss: 'sigmoid', labelSmoothing: '0' },
    orpo: { lambda: '0.1' },
    simpo: { beta: '2', gamma: '1' },
  } as const;
  for (const type of ['dpo', 'orpo', 'simpo'] as const) {
    const whole = aimOf({ objective: { type, ...given[type] } });
    expect(aimOf({ objective: { type } }).pairs!(pair, reference)).toEqual(whole.pairs!(pair, reference));
    expect(whole.hasReference).toBe(type === 'dpo');
  }
  expect(aimOf({ objective: { type: 'simpo', beta: '3' } }).pairs!(pair, reference)).toEqual(
    aimOf({ objective: { type: 'simpo', beta: '3', gamma: '1.5' } }).pairs!(pair, reference),
  );
});
