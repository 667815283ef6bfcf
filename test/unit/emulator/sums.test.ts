import { describe, expect, it } from 'vitest';
import { CompensatedSums, squareOf, triangleLength } from '../../../src/emulator/observe/sums.ts';

/** Numbers of all sizes and signs, so that plain float64 sums differ with their order. */
function numbers(count: number): Float32Array {
  let seed = 1;
  const next = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => (next() - 0.5) * 2 ** (60 * next() - 30));
}

const parts = numbers(120).reduce<Float32Array[]>((all, _, i, values) => {
  if (i % 3 === 0) all.push(values.slice(i, i + 3));
  return all;
}, []);

function summed(some: readonly Float32Array[]): CompensatedSums {
  const sums = new CompensatedSums(3);
  for (const part of some) sums.add(part);
  return sums;
}

describe('compensated sums', () => {
  it('are the same bits in any order and any grouping, where plain sums are not', () => {
    const whole = summed(parts).rounded(1 / 7);
    const plain = (some: readonly Float32Array[]) => some.reduce((sum, [value]) => sum + value!, 0);
    const orders = [
      parts.toReversed(),
      parts.toSorted((a, b) => a[0]! - b[0]!),
      parts.toSorted((a, b) => b[1]! - a[1]!),
    ];
    expect(new Set([parts, ...orders].map(plain)).size).toBeGreaterThan(1);
    for (const order of orders) {
      expect(summed(order).rounded(1 / 7)).toEqual(whole);
      for (const shards of [2, 3, 7]) {
        const joined = new CompensatedSums(3);
        for (let shard = 0; shard < shards; shard++)
          joined.addSums(summed(order.filter((_, i) => i % shards === shard)));
        expect(joined.rounded(1 / 7)).toEqual(whole);
      }
    }
  });

  it('hold what float64 loses', () => {
    const sums = summed([1e30, 1, -1e30].map((value) => Float32Array.of(value, 0, 0)));
    expect(sums.high[0]).toBe(1);
    expect(1e30 + 1 - 1e30).toBe(0);
  });

  it('of a symmetric matrix are its upper triangle', () => {
    const matrix = [1, 2, 3, 2, 4, 5, 3, 5, 6];
    const sums = new CompensatedSums(triangleLength(3));
    sums.addTriangle(matrix);
    sums.addTriangle(matrix);
    expect([...sums.rounded(0.5)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...squareOf(sums.rounded(0.5), 3)]).toEqual(matrix);
  });
});
