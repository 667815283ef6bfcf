import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Example, PackedRoom } from '../../../src/data/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { groupsWithin, packForModel } from '../../../src/evaluation/index.ts';
import { scoreRows } from '../../../src/evaluation/score.ts';
import { type Architecture, Decoder, openModel, weightsOf } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const examples = Array.from({ length: 64 }, (_, row) => ({
  row,
  trunk: new Array<number>(128).fill(1),
  branches: [],
  bytes: [],
}));

/** A model whose layers have so many parameters. */
const modelOf = (...parameters: number[]) =>
  ({
    depth: parameters.length,
    widths: { heads: 4, groups: 4, inner: 1 },
    block: (layer: number) => ({ up: { name: 'up', shape: [1, parameters[layer]!] } }),
  }) as unknown as Architecture;

const sequences = (...parameters: number[]) =>
  packForModel(examples, modelOf(...parameters), { memory: 2 ** 30 })[0]!.size;

test('a call of a block takes as many tokens as its largest layer leaves it, 2048 at most', () => {
  expect(sequences(1e6, 1e6)).toBe(16);
  expect(sequences(1e8, 1e8)).toBe(2);
  expect(sequences(1e6, 1e8, 1e6)).toBe(2);
  expect(sequences(1e12)).toBe(1);
});

test('a set whose prompts stand in very many sequences is refused before it is laid out, by its file and no number of its rows', () => {
  const row = (row: number, trunk: readonly number[], choices: number) => ({
    ...{ row, trunk, bytes: [] },
    branches: Array.from({ length: choices }, () => [1, 2, 3, 4, 5, 6, 7, 8]),
  });
  const prompt = new Array<number>(2040).fill(1);
  const rowsOf = (count: number) => Array.from({ length: count }, (_, i) => row(i, prompt, 63));
  const packed = (count: number, memory: number) =>
    packForModel(rowsOf(count), modelOf(1e9), { path: 'tasks.jsonl', maxLength: 2048, memory });
  expect(packed(2, 2 ** 34)[0]?.length).toBe(2048);
  expect(() => packed(600, 2 ** 30)).toThrow(
    /^tasks.jsonl: this stage's rows take more than 2147483648 bytes laid out for scoring/,
  );
  // Those of several sets that are held together count together.
  const room = new PackedRoom();
  const set = new Array<Example>(10_000).fill(row(0, prompt, 63));
  for (const path of ['1.jsonl', '2.jsonl']) room.add(path, set, 2 ** 28);
  expect(() => room.add('3.jsonl', set, 2 ** 28)).toThrow(/^3.jsonl: /);
  expect(() => packed(600, 2 ** 30)).not.toThrow(/600|2040|63/);
});

test('a call takes fewer where many heads, or a wide map of few weights, would fill the memory', () => {
  const sized = (heads: number, outputs: number) => {
    const widths = { heads, groups: heads, inner: 1 };
    const block = () => ({ up: { name: 'up', shape: [outputs, 1] } });
    return packForModel(examples, { depth: 2, widths, block } as unknown as Architecture, {
      memory: 2 ** 40,
    })[0]!.size;
  };
  expect([sized(64, 32_768), sized(1024, 1), sized(4096, 1), sized(100_000, 1)]).toEqual([16, 8, 2, 1]);
  expect([sized(4, 65_536), sized(4, 262_144)]).toEqual([8, 2]);
});

test('a row whose scores would not fit is taken where attention goes by tiles over the heads of its family', () => {
  const row = { ...examples[0]!, trunk: new Array<number>(4096).fill(1), branches: [] };
  const packed = (byTiles: boolean, isTiled = true) =>
    packForModel(
      [row],
      { ...modelOf(1e6), isTiled, widths: { heads: 32, groups: 32, inner: 1 } } as Architecture,
      {
        ...{ byTiles, memory: 2 ** 30 },
      },
    );
  expect(packed(true).map(({ size, length }) => [size, length])).toEqual([[1, 4096]]);
  for (const refused of [() => packed(false), () => packed(true, false)])
    expect(refused).toThrow('32 heads would take more than 2147483648 bytes for the longest row');
  const longer = { ...row, trunk: new Array<number>(16_384).fill(1) };
  expect(() =>
    packForModel([longer], { ...modelOf(1e6), isTiled: true } as Architecture, {
      ...{ byTiles: true, memory: 2 ** 30 },
    }),
  ).toThrow('the mask of attention would take more than 2147483648 bytes');
});

test('batches in flight are as many as their states, and what blocks take beside them, leave room for', () => {
  const asked: string[] = [];
  const numbers = (count: number) => ({ dtype: 'float32', shape: [count], data: new Float32Array(count) });
  const architecture = {
    ...{ ...modelOf(1, 1, 1), hidden: 10 },
    kind: (layer: number) => (layer === 1 ? 'sliding' : 'full'),
    side: ({ size, length }: { size: number; length: number }, kind: string) => {
      asked.push(kind);
      return { mask: numbers(size * length ** 2), table: numbers(length * 1000) };
    },
  } as unknown as Architecture;
  const batches = packForModel(examples, architecture, { memory: 2 ** 30 });
  const { size, length } = batches[0]!;
  // Two kinds of layers, each with a mask and a table of its own, beside two states.
  const bytes = 4 * (2 * size * length * 10 + 2 * (size * length ** 2 + length * 1000));
  const groups = (memory: number) => [...groupsWithin(memory, batches, architecture, 2)].map((g) => g.length);
  expect(batches).toHaveLength(4);
  expect(groups(2 * bytes)).toEqual([2, 2]);
  expect(groups(2 * bytes - 1)).toEqual([1, 1, 1, 1]);
  // Equal shapes are asked about once in a pass.
  expect(asked).toEqual(['full', 'sliding', 'full', 'sliding']);
});

test('a row that takes far more than the memory by itself is refused; 2 GiB it may always take', () => {
  const sized = (heads: number, outputs: number, memory: number) => {
    const block = () => ({ up: { name: 'up', shape: [outputs, 1] } });
    const architecture = { depth: 1, widths: { heads, groups: heads, inner: 1 }, block };
    return packForModel(examples, architecture as unknown as Architecture, { memory })[0]!.size;
  };
  const refused = (what: string) =>
    expect.objectContaining({
      reason: 'BadModel',
      message: `config.json: ${what} would take more than 2147483648 bytes for the longest row; lower maxLength or raise spec.engine.memory`,
    });
  expect([sized(10_922, 1, 0), sized(10_923, 1, 2 ** 31), sized(1, 599_186, 0)]).toEqual([1, 1, 1]);
  expect(() => sized(10_923, 1, 0)).toThrow(refused('10923 heads'));
  expect(() => sized(1, 599_187, 2 ** 27)).toThrow(refused('a linear map of 599187 outputs'));
});

const tokens = (length: number, seed: number) =>
  Array.from({ length }, (_, t) => 1 + ((seed * 31 + t * 7) % 40));

/** A short row before and after a question of 400 tokens with 20 choices of up to 100, the last 5 of the prompt in each of them. */
const rows: Example[] = [
  { row: 0, trunk: tokens(30, 1), branches: [tokens(5, 2), tokens(9, 3)], bytes: [] },
  {
    ...{ row: 1, trunk: tokens(395, 4), bytes: [] },
    branches: Array.from({ length: 20 }, (_, c) => [...tokens(5, 5), ...tokens(100 - c, c)]),
    starts: Array.from({ length: 20 }, () => 5),
  },
  { row: 2, trunk: tokens(50, 6), branches: [], bytes: [] },
];

test("choices that take more than 2048 tokens with their prompt share no longer sequence, and are all aimed at as the row's", () => {
  const batches = packForModel(rows, modelOf(1e6), { maxLength: 512, memory: 2 ** 30 });
  expect(batches.map(({ size, length }) => [size, length])).toEqual([
    [1, 2048],
    [1, 2048],
  ]);
  const counts = Array.from({ length: 21 }, (_, branch) => {
    const found = batches.flatMap(({ targets }) => [...targets].filter((target) => target.row === 1));
    return found.filter((target) => target.branch === branch).length;
  });
  expect(counts).toEqual([0, ...Array.from({ length: 20 }, (_, c) => 100 - c)]);
  expect(
    packForModel(rows, modelOf(1e6), { maxLength: 4096, memory: 2 ** 30 }).map(({ length }) => length),
  ).toEqual([2320, 2320]);
});

test('choices in several sequences score as each of them does alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-batches-'));
  writeTinyModel(directory, { layers: 1, hidden: 8, intermediate: 8, heads: 1, keyValueHeads: 1 });
  const [model, engine] = [openModel(directory), await Engine.create({ provider: 'cpu', threads: 1 })];
  try {
    const scores = async (examples: readonly Example[]) => {
      const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 1 << 24 }));
      const batches = packForModel(examples, model.architecture, { maxLength: 512, memory: 2 ** 30 });
      return [...(await scoreRows(decoder, batches, { memory: 1 << 24, stage: 'test', emit: () => {} }))];
    };
    // The second choice has no room beside the first; the third then shares a sequence with the first again.
    const branches = [tokens(670, 1), tokens(1360, 2), tokens(669, 3)];
    const question = { row: 1, trunk: tokens(20, 4), bytes: [] };
    const text = { row: 0, trunk: tokens(10, 5), branches: [], bytes: [] };
    const alone = await scores(branches.map((branch, row) => ({ ...question, row, branches: [branch] })));
    const [first, second, ...more] = await scores([text, { ...question, branches }]);
    expect([first!.row, second!.row, more]).toEqual([0, 1, []]);
    expect(second!.tokens).toEqual([0, 670, 1360, 669]);
    for (const [c, { logLikelihood }] of alone.entries())
      expect(second!.logLikelihood[c + 1]! / logLikelihood[1]!).toBeCloseTo(1, 5);
  } finally {
    model.close();
    await engine.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
});

test('of hidden rows no length decides what is refused: no sequence is longer than maxLength, which is looked at alone', () => {
  const row = (length: number) => ({
    ...{ row: 0, trunk: [1, 1], bytes: [1, 1, 1, 1] },
    branches: Array.from({ length: 4 }, () => new Array<number>(length).fill(1)),
  });
  const packed = (length: number, { maxLength = 448, hidden = true, heads = 256 } = {}) => {
    const widths = { heads, groups: heads, inner: 1 };
    const block = () => ({ up: { name: 'up', shape: [1, 1] } });
    return packForModel([row(length)], { depth: 1, widths, block } as unknown as Architecture, {
      ...{ maxLength, memory: 0, hidden: hidden ? { rows: 1 } : undefined },
    });
  };
  // Of the answers of one row 1,726 tokens: as long a sequence is refused, and was by the row alone.
  expect(() => packed(431, { hidden: false })).toThrow('256 heads would take more than');
  expect(packed(3, { hidden: false }).map(({ length }) => length)).toEqual([16]);
  for (const length of [3, 100, 431, 446]) {
    expect(Math.max(...packed(length).map((batch) => batch.length))).toBeLessThanOrEqual(448);
    expect(packed(length).reduce((sum, { targets }) => sum + targets.length, 0)).toBe(4 * length);
    for (const other of [{ maxLength: 2048 }, { heads: 5000 }])
      expect(() => packed(length, other)).toThrow(`heads would take more than`);
  }
});
