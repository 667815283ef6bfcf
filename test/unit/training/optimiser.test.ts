import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adamW, clipScale, globalNorm } from '../../../src/training/optimiser.ts';
import { learningRateFactor } from '../../../src/training/schedule.ts';

/** AdamW for one weight in float64, as arXiv 1711.05101 writes it (algorithm 2), with the schedule's factor in the rate. */
function formula(
  weight: number,
  gradients: readonly number[],
  {
    rate,
    betas: [b1, b2],
    weightDecay,
  }: { rate: number; betas: readonly [number, number]; weightDecay: number },
): number {
  let [theta, m, v] = [weight, 0, 0];
  gradients.forEach((g, i) => {
    const t = i + 1;
    m = b1 * m + (1 - b1) * g;
    v = b2 * v + (1 - b2) * g * g;
    const mHat = m / (1 - b1 ** t);
    const vHat = v / (1 - b2 ** t);
    theta = theta - rate * weightDecay * theta - (rate * mHat) / (Math.sqrt(vHat) + 1e-8);
  });
  return theta;
}

describe('adamW', () => {
  const number = (most: number) => fc.float({ min: -most, max: most, noNaN: true });

  test('is the formula, over several steps, with decay and scaled gradients', () => {
    fc.assert(
      fc.property(
        fc.array(number(2), { minLength: 1, maxLength: 5 }),
        fc.array(
          number(3).filter((g) => Math.abs(g) > 1e-3),
          { minLength: 1, maxLength: 6 },
        ),
        fc.constantFrom(0, 0.01, 0.1),
        fc.constantFrom(1, 0.25),
        (weights, gradients, weightDecay, scale) => {
          const betas = [0.9, 0.999] as const;
          const values = Float32Array.from(weights);
          const moments = {
            first: new Float32Array(weights.length),
            second: new Float32Array(weights.length),
          };
          gradients.forEach((g, i) => {
            const gradient = new Float32Array(weights.length).fill(g);
            adamW(values, gradient, moments, i + 1, 1e-2, scale, { betas, weightDecay });
          });
          weights.forEach((weight, i) => {
            const scaled = gradients.map((g) => Math.fround(g) * scale);
            const expected = formula(Math.fround(weight), scaled, { rate: 1e-2, betas, weightDecay });
            expect(values[i]).toBeCloseTo(expected, 5);
          });
        },
      ),
    );
  });

  test('the first step moves each weight by the rate against its gradient', () => {
    const values = Float32Array.of(1, 1, 1);
    const moments = { first: new Float32Array(3), second: new Float32Array(3) };
    adamW(values, Float32Array.of(5, -0.01, 0), moments, 1, 0.1, 1, { betas: [0.9, 0.999], weightDecay: 0 });
    expect([...values].map((value) => Number(value.toFixed(5)))).toEqual([0.9, 1.1, 1]);
  });
});

describe('clipping', () => {
  test('the norm goes over all tensors; a longer gradient is scaled to the limit, a shorter one kept, 0 is no limit', () => {
    expect(globalNorm([Float32Array.of(3), Float32Array.of(0, 4)])).toBe(5);
    expect(globalNorm([])).toBe(0);
    expect(clipScale(5, 1) * 5).toBeCloseTo(1, 5);
    expect(clipScale(0.5, 1)).toBe(1);
    expect(clipScale(1e9, 0)).toBe(1);
  });
});

describe('learningRateFactor', () => {
  test('rises over the warm-up, then stays, falls in a line, or by half a cosine', () => {
    const over = (name: 'constant' | 'linear' | 'cosine') =>
      Array.from({ length: 7 }, (_, step) => Number(learningRateFactor(name, step, 6, 2).toFixed(4)));
    expect(over('constant')).toEqual([0, 0.5, 1, 1, 1, 1, 1]);
    expect(over('linear')).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25, 0]);
    expect(over('cosine')).toEqual([0, 0.5, 1, 0.8536, 0.5, 0.1464, 0]);
  });

  test('starts at the peak without a warm-up, and is never outside of 0 and 1', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('constant' as const, 'linear' as const, 'cosine' as const),
        fc.integer({ min: 1, max: 1000 }),
        fc.nat(1000),
        fc.nat(1000),
        (name, steps, step, warmup) => {
          expect(learningRateFactor(name, 0, steps, 0)).toBe(1);
          const factor = learningRateFactor(name, step, steps, Math.min(warmup, steps));
          expect(factor).toBeGreaterThanOrEqual(0);
          expect(factor).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});
