import { describe, expect, it } from 'vitest';
import type { DType } from '../../../src/checkpoint/index.ts';
import type { Architecture, Model, Slots } from '../../../src/model/index.ts';
import { checkMagnitude } from '../../../src/plugin/magnitude.ts';
import { trainedIn } from '../../../src/plugin/origin.ts';
import { adapterOf } from '../../../src/tuning/index.ts';

const name = 'h.0.up.weight';

interface Given {
  readonly shape: readonly [to: number, from: number];
  readonly rank: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Of the layer's weights: the map itself where it is at hand, another one where not. */
  readonly weights: Float32Array;
  readonly atHand: boolean;
  /** As what the map is stored; float32 when absent. */
  readonly dtype?: DType;
}

function check({ shape, rank, a, b, weights, atHand, dtype = 'F32' }: Given): void {
  const full: Slots = { up: { name, shape } };
  const architecture = { family: 'test', block: () => full, head: {} } as unknown as Architecture;
  const changes = adapterOf({ type: 'lora', rank, alpha: rank }).changes(architecture, 0);
  const slots: Slots = atHand ? full : { norm: { name: 'h.0.norm.weight', shape: [weights.length] } };
  const tensors = new Map([[name, { name, shape, dtype }]]);
  const model = { tensors, read: () => weights } as Pick<Model, 'tensors' | 'read'>;
  const read = (tensor: string) => (tensor.endsWith('lora_A.weight') ? a : b);
  checkMagnitude(trainedIn('adapter'), [{ slots, full, changes }], { read }, model);
}

describe('a low-rank change of a map that is not at hand', () => {
  const claimed = 2 ** 18;
  /** Each of its elements is twice the value, beside weights of the given one. */
  const wide =
    (value: number, weight = 2 ** -10, a = 2 ** -2) =>
    () =>
      check({
        ...{ shape: [claimed, claimed], rank: 2, atHand: false, weights: new Float32Array(4).fill(weight) },
        a: new Float32Array(2 * claimed).fill(a),
        b: new Float32Array(2 * claimed).fill(value / a),
      });

  it('is measured by its factors: nothing is made of the size that is claimed, 275 GB', () => {
    const before = process.memoryUsage().arrayBuffers;
    wide(49.9 * 2 ** -10)();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 2 ** 20);
    expect(wide(50.1 * 2 ** -10)).toThrow(
      `adapter: its change of ${name} is 100 times as large as the weights of its layer (root mean squares); at most 100 times is taken`,
    );
    expect(wide(1e20 * 2 ** -10)).toThrow(/ is 2\.00e\+20 times as large/);
  });

  it('that is no number of float32 is refused beside weights of any size', () => {
    expect(wide(1e38, 1e38, 1)).toThrow('row 0 of tensor');
    expect(wide(3e38, 1e38, 1)).toThrow(`its change of ${name} is not finite`);
  });

  it.each([true, false])(
    'whose factors cancel to nothing at all is measured by what they do alone: at hand %s',
    (atHand) => {
      const cancelling = (size: number) => () =>
        check({
          ...{ shape: [16, 16], rank: 2, atHand, weights: new Float32Array(256).fill(1) },
          a: Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? size : -size) / 8),
          b: new Float32Array(32).fill(8),
        });
      cancelling(70.7)();
      expect(cancelling(70.8)).toThrow(
        `adapter: the factors of its change of ${name} come to 142 times the weights of its layer (root mean squares) where nothing of them cancels; at most 141 times is taken: train with a lower learning rate`,
      );
    },
  );

  it('whose factors cancel each other but for what rounding takes is not taken for none', () => {
    const cancelling = (rest: number) => () =>
      check({
        ...{ shape: [16, 16], rank: 3, atHand: false, weights: new Float32Array(4).fill(1) },
        a: Float32Array.from({ length: 48 }, (_, i) => [1e18, -1e18, rest][Math.floor(i / 16)]!),
        b: new Float32Array(48).fill(1),
      });
    expect(cancelling(1e8)).toThrow('times as large');
  });

  it('is measured as its elements are', () => {
    const [shape, rank] = [[24, 40], 3] as const;
    const a = Float32Array.from({ length: rank * 40 }, (_, i) => Math.sin(i + 1));
    const b = Float32Array.from({ length: 24 * rank }, (_, i) => Math.cos(3 * i));
    let squares = 0;
    for (let i = 0; i < 24; i++)
      for (let j = 0; j < 40; j++)
        squares += (b[3 * i]! * a[j]! + b[3 * i + 1]! * a[40 + j]! + b[3 * i + 2]! * a[80 + j]!) ** 2;
    const size = Math.sqrt(squares / 960);
    const beside = (times: number) => () =>
      check({ shape, rank, a, b, atHand: false, weights: new Float32Array(4).fill(size / times) });
    beside(99.999)();
    expect(beside(100.001)).toThrow('is 100 times as large');
  });
});

describe('a low-rank change of a map that is at hand', () => {
  const shape = [2100, 1000] as const;
  const weights = new Float32Array(2100 * 1000).fill(1);
  const withLast = (value: number) => () =>
    check({
      ...{ shape, rank: 1, atHand: true, weights },
      a: new Float32Array(1000).fill(4),
      b: new Float32Array(2100).with(2099, value / 4),
    });

  it('is measured to its last row, a part of the rows at a time', () => {
    const most = 100 * Math.sqrt(2100);
    withLast(0.999 * most)();
    expect(withLast(1.001 * most)).toThrow(`its change of ${name} is 100 times as large`);
    expect([...weights.subarray(-2)]).toEqual([1, 1]);
  });

  it('whose factors alone would allow too large an element is measured by its elements', () => {
    // A large row meets a small column and the other way round: no element is the product of the longest ones.
    const parted = (large: number, small: number) => () =>
      check({
        ...{ shape: [8, 8], rank: 2, atHand: true, weights: new Float32Array(64).fill(1e4), dtype: 'F16' },
        a: new Float32Array(16).with(0, small).with(8 + 1, large),
        b: new Float32Array(16).with(0, large).with(2 + 1, small),
      });
    parted(255, 1e-3)();
    expect(parted(255, 220)).toThrow(
      `its change of ${name} holds a value that is too large for the model's F16`,
    );
  });

  it("of many parties: the layer's own weights are read once", () => {
    const full: Slots = { up: { name, shape: [8, 8] } };
    const architecture = { family: 'test', block: () => full, head: {} } as unknown as Architecture;
    const changes = adapterOf({ type: 'lora', rank: 1, alpha: 1 }).changes(architecture, 0);
    let reads = 0;
    const own = () => {
      reads++;
      return new Float32Array(64).fill(1);
    };
    const model = { tensors: new Map(), read: own } as Pick<Model, 'tensors' | 'read'>;
    const party = (value: number) => () =>
      checkMagnitude(
        trainedIn('adapter'),
        [{ slots: full, full, changes }],
        { read: () => new Float32Array(8).fill(value) },
        model,
      );
    for (let i = 0; i < 5; i++) party(1)();
    expect(reads).toBe(1);
    expect(party(11)).toThrow('is 121 times as large');
  });
});
