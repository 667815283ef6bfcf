import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Aggregation } from '../../../src/api/index.ts';
import { Random } from '../../../src/data/index.ts';
import { truncate } from '../../../src/plugin/aggregation/index.ts';
import { aggregated, changesOf } from '../../support/unit/plugin/changes.ts';

const fixture = JSON.parse(
  readFileSync(new URL('../../fixtures/aggregation.json', import.meta.url), 'utf8'),
) as {
  layers: number;
  updates: number[][];
  weights: number[];
  cases: { aggregation: Aggregation; expected: number[]; taken?: number[] | number[][] }[];
};

const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((x, i) => x - b[i]!));

describe('as NumPy has it (test/reference/aggregation.py)', () => {
  const { layers, updates, weights, cases } = fixture;
  // As float32 the thresholds are told apart: three decimals are.
  it.each(cases)('$aggregation', ({ aggregation, expected, taken }) => {
    const whole = aggregated(changesOf(updates, { layers, weights, pieceSize: 5 }), aggregation);
    for (const [i, value] of whole.values.entries()) expect(value).toBeCloseTo(expected[i]!, 12);
    const cut = aggregated(changesOf(updates, { layers, weights, pieceSize: 2 }), aggregation);
    expect(distance(cut.values, whole.values)).toBeLessThan(1e-12);
    expect(whole.norm).toBeCloseTo(Math.hypot(...expected), 12);
    for (const [party, { norm, distance: away }] of whole.found.entries()) {
      expect(norm).toBeCloseTo(Math.hypot(...updates[party]!), 10);
      expect(away).toBeCloseTo(distance(updates[party]!, expected), 10);
    }
    if (taken === undefined) return;
    for (let place = 0; place < layers; place++) {
      const at = (Array.isArray(taken[0]) ? taken[place] : taken) as number[];
      for (const [party, { places }] of whole.found.entries()) {
        const weightless =
          weights[party] === 0 && aggregation.method !== 'krum' && aggregation.method !== 'bulyan';
        const left = aggregation.method === 'lasa' && weightless;
        expect(places[place]!.taken, `party ${party} at ${place}`).toBe(at.includes(party) && !left);
        if (!places[place]!.taken) expect(places[place]!.reason).toMatch(/its|that Krum/);
      }
    }
  });
});

const everyMethod: Aggregation[] = [
  { method: 'mean' },
  { method: 'median' },
  { method: 'trimmedMean', trim: 2 },
  { method: 'geometricMedian' },
  { method: 'krum', attackers: 2 },
  { method: 'multiKrum', attackers: 2 },
  { method: 'bulyan', attackers: 2 },
  { method: 'normClip' },
  { method: 'lasa' },
  { method: 'lasa', spread: 'mad' },
  { method: 'ties', density: '0.5' },
  { method: 'dareTies', density: '0.5' },
];

const random = new Random(16);
/** Of mean 0 and variance 1, by Irwin and Hall. */
const normal = () => Array.from({ length: 12 }, () => random.next() / 2 ** 32).reduce((a, b) => a + b, -6);
const vector = (size: number) => Array.from({ length: size }, normal);
const plus = (a: readonly number[], b: readonly number[], factor = 1) => a.map((x, i) => x + factor * b[i]!);
const times = (a: readonly number[], factor: number) => a.map((x) => factor * x);

describe('every method', () => {
  const common = vector(60);
  const updates = Array.from({ length: 11 }, () => plus(common, vector(60), 0.5));
  const names = updates.map((_, i) => `party ${i}`);
  const turned = [4, 0, 7, 2, 9, 1, 10, 3, 8, 5, 6];

  it.each(everyMethod)('$method, $spread: hangs on no order', (aggregation) => {
    const options = { layers: 3, parties: names };
    const straight = aggregated(changesOf(updates, options), aggregation);
    const other = aggregated(
      changesOf(
        turned.map((i) => updates[i]!),
        { ...options, parties: turned.map((i) => names[i]!) },
      ),
      aggregation,
    );
    expect(distance(straight.values, other.values)).toBeLessThan(1e-12);
    for (const [to, from] of turned.entries())
      expect(other.found[to]!.places.map(({ taken }) => taken)).toEqual(
        straight.found[from]!.places.map(({ taken }) => taken),
      );
  });

  it.each([...everyMethod.slice(0, 10), { method: 'ties', density: '1' } as Aggregation])(
    '$method, $spread: of equal changes is that change, and takes all but what it chooses one of',
    (aggregation) => {
      const same = updates.map(() => common);
      const { values, found } = aggregated(changesOf(same, { layers: 3 }), aggregation);
      expect(distance(values, common)).toBeLessThan(1e-12);
      for (const { distance: away } of found) expect(away).toBeLessThan(1e-12);
    },
  );

  it.each(everyMethod.slice(0, 7))('$method: moves with what all add', (aggregation) => {
    const added = vector(60);
    const here = aggregated(changesOf(updates), aggregation).values;
    const there = aggregated(changesOf(updates.map((update) => plus(update, added))), aggregation).values;
    expect(distance(plus(here, added), there)).toBeLessThan(1e-9);
  });

  it.each([2, 3, 7, 31, 32, 64])('of %i parties the middle values count, equal ones too', (parties) => {
    // Whole numbers, of which many are equal, and at the end all.
    const whole = (most: number) => () => Array.from({ length: 40 }, () => random.below(most));
    const changes = Array.from({ length: parties }, whole(parties));
    const equal = changes.map((change, i) => [...change, ...whole(2)(), ...change.map(() => Number(i > 1))]);
    for (let trim = 0; 2 * trim < parties; trim++) {
      const { values, found } = aggregated(changesOf(equal, { pieceSize: 50 }), {
        method: 'trimmedMean',
        trim,
      });
      const counted = equal.map(() => 0);
      for (const [at, value] of values.entries()) {
        const all = equal.map((change) => change[at]!);
        const middle = all.toSorted((a, b) => a - b).slice(trim, parties - trim);
        expect(value).toBe(middle.reduce((a, b) => a + b, 0) / middle.length);
        for (const [i, own] of all.entries())
          counted[i]! += Number(own >= middle[0]! && own <= middle.at(-1)!);
      }
      expect(found.map(({ places }) => places[0]!.share)).toEqual(
        counted.map((count) => count / values.length),
      );
    }
  });

  it('linear sums, by weights', () => {
    const { values } = aggregated(changesOf(updates.slice(0, 2), { weights: [2, 0.5] }), {
      method: 'linear',
    });
    expect(distance(values, plus(times(updates[0]!, 2), updates[1]!, 0.5))).toBeLessThan(1e-12);
  });

  it('takes nothing of a party whose weight is 0, and says so', () => {
    for (const method of ['mean', 'linear', 'geometricMedian', 'normClip', 'ties'] as const) {
      const weights = updates.map((_, i) => Number(i !== 3));
      const { found } = aggregated(changesOf(updates, { weights }), { method });
      expect(found[3]!.places[0]).toMatchObject({ taken: false, reason: 'its weight is 0' });
    }
  });

  it('multiKrum chooses among those that have a weight: its best may have none', () => {
    const near = updates.map((update, i) => (i === 5 ? common : update));
    for (const keep of [1, 3, 9]) {
      const weights = near.map((_, i) => Number(i !== 5));
      const { values, found } = aggregated(changesOf(near, { weights }), {
        ...{ method: 'multiKrum', attackers: 2, keep },
      });
      expect(found[5]!.places[0]).toMatchObject({ taken: false, reason: 'its weight is 0' });
      const chosen = near.filter((_, i) => found[i]!.places[0]!.taken);
      // Of the n - f nearest one has no weight, and nobody farther takes its place.
      expect(chosen).toHaveLength(Math.min(keep, near.length - 3));
      const mean = times(
        chosen.reduce((sum, one) => plus(sum, one)),
        1 / chosen.length,
      );
      expect(distance(values, mean)).toBeLessThan(1e-12);
    }
  });

  it('multiKrum takes no attacker in the place of one without a weight, and nobody where all the nearest have none', () => {
    const hostile = [...updates.slice(0, 4), times(updates[4]!, 100)];
    const multiKrum = { method: 'multiKrum', attackers: 1 } as const;
    for (const without of [0, 1, 2, 3]) {
      const weights = hostile.map((_, i) => Number(i !== without));
      const { found } = aggregated(changesOf(hostile, { weights }), multiKrum);
      const taken = found.flatMap(({ places }, i) => (places[0]!.taken ? [i] : []));
      expect(taken).toEqual([0, 1, 2, 3].filter((party) => party !== without));
    }
    expect(() => aggregated(changesOf(hostile, { weights: [0, 0, 0, 0, 1] }), multiKrum)).toThrow(
      /^spec.adapters: none of the 4 that lie nearest to the others has a weight above 0/,
    );
  });

  it('bulyan takes the values nearest to the median also where more are equal far off than it takes', () => {
    // The first nine of fifteen are selected, since the others are far from everybody; three of their values count.
    const tied = Array.from({ length: 15 }, (_, i) => [
      ...Array.from({ length: 6 }, (_, axis) => (i - 9 === axis ? 1000 : 0)),
      i < 4 ? 0 : 1,
    ]);
    const { values } = aggregated(changesOf(tied), { method: 'bulyan', attackers: 3 });
    expect(values.at(-1)).toBe(1);
  });

  it('dareTies drops by seed, party and place: another seed another change, about as much of it', () => {
    const one = [vector(4000)];
    const at = (seed: number, pieceSize = 64) =>
      aggregated(changesOf([one[0]!, one[0]!.map(() => 0)], { pieceSize }), {
        ...{ method: 'dareTies', density: '0.25', seed },
      }).values;
    const kept = at(1);
    expect(kept).toEqual(at(1, 999));
    expect(kept).not.toEqual(at(2));
    const count = kept.filter((value) => value !== 0).length;
    // Six standard deviations of a binomial.
    expect(Math.abs(count - 1000)).toBeLessThan(6 * Math.sqrt(4000 * 0.25 * 0.75));
    for (const [i, value] of kept.entries()) if (value !== 0) expect(value).toBeCloseTo(4 * one[0]![i]!, 12);
  });

  it('sparsity finds the exact threshold, equal sizes and zeros among them', () => {
    const update = [3, -3, 1, 0, 0, 2, -1, 1e-30, 0, 0];
    const { values } = aggregated(changesOf([update, update]), { method: 'ties', density: '0.3' });
    expect(values).toEqual([3, -3, 0, 0, 0, 2, 0, 0, 0, 0]);
    const all = aggregated(changesOf([update, update]), { method: 'ties', density: '1' });
    expect(all.values).toEqual(update);
  });
});

/** Clients whose losses are quadratic, with an optimum each: what one sends is the way to its optimum. */
describe('attackers (two of eleven) against quadratic clients', () => {
  const [size, honestCount, layers] = [160, 9, 4];
  const optimum = vector(size);
  const honest = Array.from({ length: honestCount }, () => plus(optimum, vector(size), 0.4));
  const mean = times(
    honest.reduce((sum, one) => plus(sum, one)),
    1 / honestCount,
  );
  const deviation = mean.map((_, i) =>
    Math.sqrt(honest.reduce((sum, one) => sum + (one[i]! - mean[i]!) ** 2, 0) / honestCount),
  );
  /** How far one honest client alone lies from their mean. */
  const spread = Math.max(...honest.map((one) => distance(one, mean)));
  const farthest = Math.max(...honest.flatMap((a) => honest.map((b) => distance(a, b))));

  /** The longest step along the honest deviation that stays within the honest clients' own distances (Min-Max). */
  function minMax(): number[] {
    let [low, high] = [0, 10];
    while (high - low > 1e-5) {
      const middle = (low + high) / 2;
      const bad = plus(mean, deviation, -middle);
      if (Math.max(...honest.map((one) => distance(one, bad))) <= farthest) low = middle;
      else high = middle;
    }
    return plus(mean, deviation, -low);
  }

  const attacks: Record<string, () => number[][]> = {
    'gaussian noise': () => [times(vector(size), 5), times(vector(size), 5)],
    'additive noise': () => honest.slice(0, 2).map((one) => plus(one, vector(size), 5)),
    'sign flip, 10 times': () => honest.slice(0, 2).map((one) => times(one, -10)),
    'scaling, 100 times': () => honest.slice(0, 2).map((one) => times(one, 100)),
    'a little is enough': () => [plus(mean, deviation, -1.5), plus(mean, deviation, -1.5)],
    'min-max': () => [minMax(), minMax()],
    'inner product': () => [times(mean, -1), times(mean, -1)],
  };
  const loud = Object.keys(attacks).slice(0, 4);
  const robust: Aggregation[] = [
    { method: 'median' },
    { method: 'trimmedMean', trim: 2 },
    { method: 'geometricMedian', iterations: 30 },
    { method: 'krum', attackers: 2 },
    { method: 'multiKrum', attackers: 2 },
    { method: 'bulyan', attackers: 2 },
    { method: 'normClip' },
    { method: 'lasa' },
    { method: 'lasa', spread: 'mad', normBound: '2.5', signBound: '2.5' },
  ];
  /**
   * Known of these methods: two equal changes within the honest clients' distances are each other's nearest, and Krum takes one
   * of them; LASA sees in a change of usual size nothing but the side of its signs, and a layer without a side has none.
   */
  const fooled: Record<string, string[]> = { 'min-max': ['krum'], 'inner product': ['lasa'] };
  const errorOf = (aggregation: Aggregation, bad: number[][]) =>
    distance(aggregated(changesOf([...honest, ...bad], { layers, pieceSize: 40 }), aggregation).values, mean);

  it.each([
    [3, 1],
    [9, 4],
    [31, 15],
  ])(
    'of %i parties %i in one far place pull the geometric median no farther than the honest lie apart',
    (parties, bad) => {
      const own = (at: number) => Array.from({ length: parties }, (_, i) => (i === at ? 1 : 0));
      const far = own(parties - 1).map((value) => 1e4 * value);
      const changes = Array.from({ length: parties }, (_, i) => (i < parties - bad ? own(i) : far));
      const pulled = (iterations?: number) => {
        const aggregation: Aggregation = { method: 'geometricMedian', ...(iterations && { iterations }) };
        return aggregated(changesOf(changes, { pieceSize: 40 }), aggregation).values.at(-1)!;
      };
      expect(pulled()).toBeLessThan(3);
      if (bad > 1) expect(pulled(10)).toBeGreaterThan(50);
    },
  );

  it.each(loud)('the mean fails under %s: it lies farther off than any honest client', (attack) => {
    expect(errorOf({ method: 'mean' }, attacks[attack]!())).toBeGreaterThan(spread);
  });

  it.each(Object.keys(attacks))(
    'under %s what comes of all is nearer to the honest mean than the farthest honest client',
    (attack) => {
      for (const aggregation of robust) {
        if (fooled[attack]?.includes(aggregation.method)) continue;
        const error = errorOf(aggregation, attacks[attack]!());
        expect(error, aggregation.method).toBeLessThanOrEqual(spread);
      }
    },
  );

  it('Krum takes a min-max attacker, which multi-Krum and Bulyan average away', () => {
    const { found } = aggregated(changesOf([...honest, ...attacks['min-max']!()], { layers }), {
      ...{ method: 'krum', attackers: 2 },
    });
    expect(found.findIndex(({ places }) => places[0]!.taken)).toBeGreaterThanOrEqual(9);
  });

  it.each([
    { method: 'krum', attackers: 2 },
    { method: 'multiKrum', attackers: 2 },
    { method: 'bulyan', attackers: 2 },
    { method: 'lasa', spread: 'mad', normBound: '3', signBound: '3' },
  ] as Aggregation[])(
    '$method leaves the loud ones out, and of the honest ones it says how many',
    (aggregation) => {
      const { found } = aggregated(
        changesOf([...honest, ...attacks['sign flip, 10 times']!()], { layers }),
        aggregation,
      );
      const leftOut = found.map(({ places }) => places.filter(({ taken }) => !taken).length);
      if (aggregation.method === 'lasa') {
        // Shortened to the median norm, a flipped change is told by its signs alone, where a layer has a side.
        expect(leftOut[9]! + leftOut[10]!).toBeGreaterThan(0);
        expect(Math.max(...leftOut.slice(0, 9))).toBeLessThan(layers);
      } else {
        expect(leftOut.slice(9)).toEqual([layers, layers]);
      }
    },
  );
});

describe('factors of a change', () => {
  const matrixOf = (rows: number, columns: number, rank: number) => {
    const [left, right] = [vector(rows * rank), vector(rank * columns)];
    return Float32Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      return Array.from({ length: rank }, (_, k) => left[i * rank + k]! * right[k * columns + j]!).reduce(
        (a, b) => a + b,
      );
    });
  };
  const product = (left: Float32Array, right: Float32Array, rows: number, columns: number, rank: number) =>
    Float64Array.from({ length: rows * columns }, (_, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += left[i * rank + k]! * right[k * columns + j]!;
      return sum;
    });
  const error = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Math.sqrt(Array.from(a).reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0));

  it('are exact where the rank is enough, for wide and tall', () => {
    for (const [rows, columns] of [
      [12, 30],
      [30, 12],
    ] as const) {
      const values = matrixOf(rows, columns, 4);
      const { left, right, kept, whole } = truncate(values, rows, columns, 4);
      expect(error(product(left, right, rows, columns, 4), values)).toBeLessThan(1e-5 * Math.sqrt(whole));
      expect(kept / whole).toBeCloseTo(1, 10);
    }
  });

  it('keep the largest singular values and say their share: diagonal 4, 3, 2, 1', () => {
    const values = new Float32Array(5 * 6);
    for (const [i, value] of [2, 4, 1, 3].entries()) values[i * 6 + i] = value;
    const { left, right, kept, whole } = truncate(values, 5, 6, 2);
    expect(whole).toBeCloseTo(30, 10);
    expect(kept).toBeCloseTo(25, 6);
    const wanted = new Float32Array(30);
    wanted[1 * 6 + 1] = 4;
    wanted[3 * 6 + 3] = 3;
    expect(error(product(left, right, 5, 6, 2), wanted)).toBeLessThan(1e-4);
  });

  it('of nothing are nothing, and keep all of it; a row or column of zeros stays one', () => {
    const none = truncate(new Float32Array(12), 3, 4, 2);
    expect([...none.left, ...none.right].every((value) => value === 0)).toBe(true);
    const values = matrixOf(6, 7, 5);
    for (let j = 0; j < 7; j++) values[2 * 7 + j] = 0;
    for (let i = 0; i < 6; i++) values[i * 7 + 3] = 0;
    const { left, right } = truncate(values, 6, 7, 3);
    expect([...left.subarray(6, 9)]).toEqual([0, 0, 0]);
    expect([0, 1, 2].map((k) => right[k * 7 + 3])).toEqual([0, 0, 0]);
  });

  it('of a rank beyond the matrix are padded with zeros', () => {
    const values = matrixOf(3, 4, 3);
    const { left, right } = truncate(values, 3, 4, 6);
    expect(left.length).toBe(18);
    expect(error(product(left, right, 3, 4, 6), values)).toBeLessThan(1e-5);
  });
});
