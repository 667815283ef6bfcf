import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Estimator, progressOf, type StageEvent } from '../../../src/progress/index.ts';

function clocked(total: number, done = 0) {
  let time = 0;
  const estimator = new Estimator(total, done, () => time);
  return (steps: number, seconds: number) => {
    time += seconds * 1000;
    return estimator.advance(steps);
  };
}

test('a steady pace gives the exact remaining time', () => {
  const advance = clocked(100);
  for (let step = 1; step < 100; step++) {
    expect(advance(1, 3).estimatedRemainingSeconds).toBeCloseTo(3 * (100 - step), 6);
  }
  expect(advance(1, 3)).toEqual({ progressPercentage: 100, estimatedRemainingSeconds: 0 });
});

test('one slow step moves the estimate little, a lasting change of pace wins', () => {
  const advance = clocked(1000);
  for (let step = 0; step < 100; step++) advance(1, 1);
  const hiccup = advance(1, 10).estimatedRemainingSeconds as number;
  expect(hiccup).toBeLessThan(899 * 1.35);
  let last = hiccup;
  for (let step = 0; step < 100; step++) last = advance(1, 4).estimatedRemainingSeconds as number;
  expect(last).toBeGreaterThan(799 * 4 * 0.95);
});

test('steps from before a restart say nothing about the pace', () => {
  const advance = clocked(120, 100);
  expect(advance(1, 2)).toEqual({ progressPercentage: 84, estimatedRemainingSeconds: 38 });
});

test('nothing is estimated before a step was timed', () => {
  expect(new Estimator(10).estimate()).toEqual({ progressPercentage: 0 });
});

test('percentages never fall, stay within 0..100 and reach 100 only at the end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ steps: fc.nat(5), seconds: fc.double({ min: 0, max: 9, noNaN: true }) })),
      (calls) => {
        const total = 17;
        const advance = clocked(total);
        let done = 0;
        let before = 0;
        for (const { steps, seconds } of calls) {
          done += steps;
          const { progressPercentage } = advance(steps, seconds);
          expect(progressPercentage).toBeGreaterThanOrEqual(before);
          expect(progressPercentage === 100).toBe(done >= total);
          before = progressPercentage;
        }
      },
    ),
  );
});

test('a loop tells its first and its last step, and not every one in between', () => {
  const events: StageEvent[] = [];
  const tell = progressOf('probe', 500, (event) => events.push(event));
  for (let step = 0; step < 500; step++) tell(1, [{ name: 'loss', value: String(step) }]);
  expect(events).toHaveLength(2);
  expect(events.at(-1)).toMatchObject({
    type: 'progress',
    stage: 'probe',
    progressPercentage: 100,
    metrics: [{ name: 'loss', value: '499' }],
  });
});
