import { describe, expect, it } from 'vitest';
import { poissonSample, SecretRandom } from '../../../../src/tuning/privacy/index.ts';

const key = Buffer.alloc(32, 7);

describe('chance from a secret', () => {
  it('is the same for equal keys and labels, and another for any other', () => {
    const first = (by: Uint8Array, label: string) => new SecretRandom(by, label).uniform();
    expect(first(key, 'a')).toBe(first(key, 'a'));
    expect(first(key, 'a')).not.toBe(first(key, 'b'));
    expect(first(key, 'a')).not.toBe(first(Buffer.alloc(32, 8), 'a'));
  });

  it('is the keystream of AES-256-CTR under HMAC-SHA256(key, label)', () => {
    // openssl: HMAC-SHA256 of "a" under 32 times 07, then AES-256-CTR with that key and a counter of 0, of zeros
    const random = new SecretRandom(key, 'a');
    expect([random.uniform(), random.uniform()]).toEqual([0.33488730039860776, 0.3359072033151563]);
  });

  it('is normal: its moments, and the shares beyond 1, 2 and 3 deviations, within five errors', () => {
    const random = new SecretRandom(key, 'normal');
    const count = 50_000;
    const values = Float64Array.from({ length: count }, () => random.normal());
    const mean = (of: (value: number) => number) => values.reduce((sum, value) => sum + of(value), 0) / count;
    const within = (found: number, expected: number, variance: number) =>
      expect(Math.abs(found - expected)).toBeLessThan(5 * Math.sqrt(variance / count));
    within(
      mean((x) => x),
      0,
      1,
    );
    within(
      mean((x) => x * x),
      1,
      2,
    );
    within(
      mean((x) => x ** 3),
      0,
      15,
    );
    within(
      mean((x) => x ** 4),
      3,
      96,
    );
    for (const [beyond, share] of [
      [1, 0.317311],
      [2, 0.0455],
      [3, 0.0027],
    ] as const)
      within(
        mean((x) => Number(Math.abs(x) > beyond)),
        share,
        share * (1 - share),
      );
  });
});

describe('rows of a step', () => {
  it('come in numbers that are binomial, and each as often as any other (chi-square)', () => {
    const [rows, rate, steps] = [40, 0.1, 2000];
    const counts = new Array<number>(rows + 1).fill(0);
    const taken = new Array<number>(rows).fill(0);
    for (let step = 0; step < steps; step++) {
      const places = poissonSample(new SecretRandom(key, `rows ${step}`), rows, rate);
      counts[places.length]! += 1;
      for (const place of places) taken[place]! += 1;
    }
    const binomial = counts.map((_, k) => steps * choose(rows, k) * rate ** k * (1 - rate) ** (rows - k));
    // Cells of at least ten expected steps: 0 to 9 rows, and all above.
    const cells = (of: number[]) => [...of.slice(0, 10), of.slice(10).reduce((a, b) => a + b, 0)];
    const distance = (found: number[], expected: number[]) =>
      found.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0);
    // The 99.9 % quantile with 10 degrees of freedom.
    expect(distance(cells(counts), cells(binomial))).toBeLessThan(29.6);
    expect(counts[0]).toBeGreaterThan(0);
    const each = taken.map(() => steps * rate);
    // Each row's count is binomial: its squares over n p (1 - p) are chi-square with 40 degrees of freedom (99.9 %: 73.4).
    expect(distance(taken, each) / (1 - rate)).toBeLessThan(73.4);
  });

  it('are all of them at rate 1, and are told in their order', () => {
    expect(poissonSample(new SecretRandom(key, 'x'), 5, 1)).toEqual([0, 1, 2, 3, 4]);
  });
});

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n, k - 1) * (n - k + 1)) / k);
