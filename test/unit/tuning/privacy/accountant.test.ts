import { describe, expect, it } from 'vitest';
import { epsilonOf, noiseFor, renyiOf } from '../../../../src/tuning/privacy/accountant.ts';

/** By an independent evaluation of the same bound with integer orders 2 to 255 (test/reference/dp_sgd.py checks them too). */
const known = [
  { samplingRate: 0.01, noiseMultiplier: 1.1, steps: 10_000, epsilon: 5.6543, order: 5 },
  { samplingRate: 0.01, noiseMultiplier: 1.0, steps: 1_000, epsilon: 2.1078, order: 8 },
  { samplingRate: 256 / 60_000, noiseMultiplier: 1.1, steps: 3_510, epsilon: 1.2804, order: 12 },
  { samplingRate: 0.004, noiseMultiplier: 1.3, steps: 15_000, epsilon: 1.9198, order: 10 },
];

describe('the accountant', () => {
  it.each(known)('%j at delta 1e-5', ({ epsilon, order, ...mechanism }) => {
    const found = epsilonOf(mechanism, 1e-5);
    expect(Math.abs(found.epsilon - epsilon)).toBeLessThan(1e-3);
    expect(found.order).toBe(order);
  });

  it('of one step on all rows is the Gaussian mechanism: R(a) = a / (2 sigma^2)', () => {
    for (const order of [2, 17, 255])
      expect(renyiOf({ samplingRate: 1, noiseMultiplier: 3 }, order)).toBeCloseTo(order / 18, 12);
  });

  it('agrees with the sum written out, at order 2 and 3', () => {
    const [q, sigma] = [0.3, 0.7];
    const pair = Math.exp(1 / sigma ** 2);
    expect(renyiOf({ samplingRate: q, noiseMultiplier: sigma }, 2)).toBeCloseTo(
      Math.log((1 - q) ** 2 + 2 * q * (1 - q) + q * q * pair),
      12,
    );
    const sum = (1 - q) ** 3 + 3 * q * (1 - q) ** 2 + 3 * q * q * (1 - q) * pair + q ** 3 * pair ** 3;
    expect(renyiOf({ samplingRate: q, noiseMultiplier: sigma }, 3)).toBeCloseTo(Math.log(sum) / 2, 12);
  });

  it('stays a number where the noise is next to none, and promises no less than nothing', () => {
    const little = { samplingRate: 0.5, noiseMultiplier: 0.0101, steps: 10_000_000 };
    expect(Number.isFinite(epsilonOf(little, 1e-9).epsilon)).toBe(true);
    expect(epsilonOf({ samplingRate: 1e-9, noiseMultiplier: 1e6, steps: 1 }, 0.9).epsilon).toBe(0);
  });
});

describe('the noise for an epsilon', () => {
  it.each([2, 100])('%d is the least multiple of 0.0001 that gives it', (epsilon) => {
    const extent = { samplingRate: 0.05, steps: 300 };
    const noise = noiseFor({ epsilon, delta: 1e-5 }, extent)!;
    const of = (noiseMultiplier: number) => epsilonOf({ ...extent, noiseMultiplier }, 1e-5).epsilon;
    expect(of(noise)).toBeLessThanOrEqual(epsilon);
    expect(of(noise - 1e-4)).toBeGreaterThan(epsilon);
  });

  it('is none where no order tells so small an epsilon', () => {
    expect(noiseFor({ epsilon: 0.01, delta: 1e-5 }, { samplingRate: 0.05, steps: 300 })).toBeUndefined();
  });
});
