import { describe, expect, it } from 'vitest';
import { checkFactors } from '../../../src/plugin/factors.ts';
import { trainedIn } from '../../../src/plugin/origin.ts';

/** A [2, 3] with rows of the given norms, B [2, 2] with such columns. */
const check =
  (rows: readonly [number, number], columns: readonly [number, number], scale = 1) =>
  () => {
    const [a, b] = [new Float32Array(6), new Float32Array(4)];
    for (const [k, norm] of rows.entries()) a.set([0.6 * norm, 0, -0.8 * norm], 3 * k);
    for (const [k, norm] of columns.entries()) {
      b[k] = -0.8 * norm;
      b[2 + k] = 0.6 * norm;
    }
    checkFactors(trainedIn('adapter'), {
      a: { name: 'up.lora_A.weight', values: a },
      b: { name: 'up.lora_B.weight', values: b },
      ...{ rank: 2, scale },
    });
  };

describe('the factors of a low-rank change', () => {
  it('are taken as long as they are run without overflowing, and with columns of zero', () => {
    check([0.6, 0.6], [0, 0], 8)();
    check([255.9, 1e-38], [4095, 4095])();
    check([255.9, 0], [511, 0], 8)();
  });

  it('are refused with a row that overflows beside a column that is zero, of which the product shows nothing', () => {
    expect(check([0.6, 7.5e37], [1, 0])).toThrow(
      'adapter: row 1 of tensor up.lora_A.weight has the norm 7.50e+37; at most 256 is taken, since PEFT and vLLM run the factors one after the other; its column of B is zero, so make the row zero, too',
    );
    expect(check([256.1, 0.6], [0, 1])).toThrow('row 0 of tensor up.lora_A.weight');
  });

  it('are refused with a row that overflows or vanishes in a product that does not, and told which ones come to the same', () => {
    expect(check([2 ** 100, 0.6], [2 ** -98, 1])).toThrow(
      'row 0 of tensor up.lora_A.weight has the norm 1.27e+30; at most 256 is taken, since PEFT and vLLM run the factors one after the other; the same product is taken of a row and a column that both have the norm 2.00: divide the one and multiply the other',
    );
    expect(check([0.6, 2 ** -130], [1, 2 ** 120])).toThrow(
      'column 1 of tensor up.lora_B.weight has the norm 1.33e+36; at most 4096 is taken, since PEFT and vLLM run the factors one after the other; the same product is taken of a row and a column that both have the norm 0.0312: divide',
    );
  });

  it('are refused with a column that is too long with the scale that it counts, or without', () => {
    check([0.6, 0.6], [1, 4095], 0.5)();
    expect(check([0.6, 0.6], [1, 4097], 0.5)).toThrow('has the norm 4.10e+3; at most 4096');
    check([0.6, 0.6], [63, 1], 64)();
    expect(check([0.6, 0.6], [65, 1], 64)).toThrow(
      'column 0 of tensor up.lora_B.weight has the norm 4.16e+3 with alpha / rank; at most 4096',
    );
  });

  it('whose product no such factors have are no training of a usual kind', () => {
    expect(check([1e5, 1], [1e5, 1])).toThrow('one after the other; train with a lower learning rate');
    expect(check([Number.NaN, 1], [1, 1])).toThrow('row 0 of tensor up.lora_A.weight has the norm NaN');
  });
});
