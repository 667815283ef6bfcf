import { describe, expect, it } from 'vitest';
import type { Model } from '../../../src/model/index.ts';
import type { Adapter } from '../../../src/plugin/index.ts';
import { roundedAway, roundingOf } from '../../../src/plugin/rounding.ts';

/** Near 1, bfloat16 has steps of 1/128 above and 1/256 below, float16 of 1/1024 and 1/2048. */
const full = Float32Array.of(1, 1, 1, 1, 2);
const modelIn = (dtype: string) =>
  ({
    architecture: { head: { head: { name: 'head' } } },
    tensors: new Map([['w', { name: 'w', dtype, shape: [5] }]]),
    read: () => full,
  }) as unknown as Model;
const adapterOf = (values: number[]) =>
  ({ changed: ['w'], get: () => Float32Array.from(values) }) as unknown as Adapter;

describe('what a type keeps of a change', () => {
  it.each<[dtype: string, values: number[], coefficient: number, expected: unknown]>([
    ['BF16', [1.001, 1.01, 1, 1, 2], 1, { dtype: 'bfloat16', changed: 2, kept: 0.5 }],
    ['BF16', [1.001, 1.001, 1.001, 1.02, 2.001], 1, { dtype: 'bfloat16', changed: 5, kept: 0.2 }],
    ['F16', [1.001, 1.0001, 1, 1, 2], 1, { dtype: 'float16', changed: 2, kept: 0.5 }],
    ['BF16', [1.01, 1, 1, 1, 2], 0.1, { dtype: 'bfloat16', changed: 1, kept: 0 }],
    ['BF16', [1, 1, 1, 1, 2], 1, { dtype: 'bfloat16', changed: 0, kept: 1 }],
    ['F32', [1.0001, 1, 1, 1, 2], 1, undefined],
  ])('%s of %j at %d', (dtype, values, coefficient, expected) => {
    expect(roundingOf(modelIn(dtype), adapterOf(values), coefficient)).toEqual(expected);
  });

  it('is told where it is the lesser part', () => {
    expect(roundedAway({ dtype: 'bfloat16', changed: 1000, kept: 0.04 })).toMatch(
      /^the model's bfloat16 keeps 4\.0 % of the 1000 weights that the adapter changes; the others are rounded back/,
    );
    expect(roundedAway({ dtype: 'float16', changed: 1000, kept: 0.5 })).toBeUndefined();
  });
});
