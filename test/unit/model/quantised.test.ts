import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  decodeQuantised,
  encodeQuantised,
  type Quantisation,
  quantisedShapes,
} from '../../../src/model/quantised.ts';

interface Case extends Quantisation {
  to: number;
  from: number;
  weights: number[];
  codes: number[];
  scales: number[];
  minima: number[];
  values: number[];
}

/** Written by test/reference/compression.py. */
const path = join(import.meta.dirname, '../../fixtures/compression.json');
const cases = (JSON.parse(readFileSync(path, 'utf8')) as { quantised: Case[] }).quantised;

test.each(cases)('codes, scales and weights are those of NumPy: $bits bits by $group of $from', (one) => {
  const encoded = encodeQuantised(Float32Array.from(one.weights), one, one);
  expect([...encoded.codes]).toEqual(one.codes);
  expect(encoded.scales).toEqual(Float32Array.from(one.scales));
  expect(encoded.minima).toEqual(Float32Array.from(one.minima));
  expect(decodeQuantised(encoded, one, one)).toEqual(Float32Array.from(one.values));
});

test.each([4, 8] as const)('no weight of %i bits is further off than half a step', (bits) => {
  const size = { to: 9, from: 131 };
  const weights = Float32Array.from({ length: 9 * 131 }, (_, i) => Math.sin(i * i) * 10 ** ((i % 13) - 6));
  const encoded = encodeQuantised(weights, size, { bits, group: 32 });
  decodeQuantised(encoded, size, { bits, group: 32 }).forEach((value, i) => {
    const group = Math.floor(i / 131) * 5 + Math.floor((i % 131) / 32);
    const largest = Math.abs(encoded.minima[group]!) + encoded.scales[group]! * 2 ** bits;
    expect(Math.abs(value - weights[i]!)).toBeLessThanOrEqual(encoded.scales[group]! / 2 + largest * 1e-6);
  });
});

test('equal weights, zeros and the largest numbers come back', () => {
  const size = { to: 1, from: 6 };
  const weights = Float32Array.of(0, 0, 0.1, 0.1, -3e38, 3e38);
  const form = { bits: 4, group: 2 } as const;
  const encoded = encodeQuantised(weights, size, form);
  const values = decodeQuantised(encoded, size, form);
  expect([...values.subarray(0, 4)]).toEqual([...weights.subarray(0, 4)]);
  expect(values[5]! / weights[5]!).toBeCloseTo(1, 6);
});

test('parts of another length, and numbers that are not finite, are refused', () => {
  const size = { to: 2, from: 5 };
  const form = { bits: 4, group: 4 } as const;
  expect(quantisedShapes(size, form)).toEqual({ codes: [2, 3], scales: [2, 2], minima: [2, 2] });
  const good = encodeQuantised(new Float32Array(10).fill(1), size, form);
  for (const part of ['codes', 'scales', 'minima'] as const)
    expect(() => decodeQuantised({ ...good, [part]: good[part].slice(1) }, size, form)).toThrow(`${part}: `);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 3e38])
    expect(() => decodeQuantised({ ...good, scales: good.scales.map(() => value) }, size, form)).toThrow(
      'not finite',
    );
  expect(() => decodeQuantised({ ...good, minima: good.minima.map(() => Number.NaN) }, size, form)).toThrow(
    'not finite',
  );
  expect(() => decodeQuantised(good, size, form, new Float32Array(9))).toThrow('9 places');
});
