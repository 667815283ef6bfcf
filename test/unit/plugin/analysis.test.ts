import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kinds, writeTermination } from '../../../src/api/index.ts';
import { inPlace } from '../../../src/artifact/index.ts';
import {
  type AnalysisRecord,
  analysisFile,
  barrierOf,
  gridOf,
  KeptWork,
  keyOf,
  readAnalysis,
  summaryOf,
  variantsOf,
} from '../../../src/plugin/analysis/index.ts';

const plugged = { depth: 4, transferLayers: [3, 0], coefficient: 1 };
const both = ['delete', 'rewind'] as ('delete' | 'rewind')[];

describe('what is evaluated', () => {
  test('places are in ascending order, each once, however it is written', () => {
    expect(gridOf({ coefficients: ['1.5', '1', '-0', '1.0', '0', '-2e-1'] })).toEqual([-0.2, 0, 1, 1.5]);
    expect(gridOf(undefined)).toEqual([]);
  });

  test('the plug-in is there once, also where the line does not name it', () => {
    const keys = variantsOf({ interpolation: { coefficients: ['0', '1', '2'] } }, plugged).map(keyOf);
    expect(keys).toEqual(['interpolated 1', 'interpolated 0', 'interpolated 2']);
    const half = { ...plugged, coefficient: 0.5 };
    expect(variantsOf({ layerImportance: { methods: ['rewind'] } }, half).map(keyOf)).toEqual([
      'interpolated 0.5',
      'rewound 0',
      'rewound 3',
    ]);
  });

  test('every layer is deleted, only transfer layers are rewound', () => {
    const keys = variantsOf({ layerImportance: { methods: both } }, plugged).map(keyOf);
    expect(keys.slice(1)).toEqual([
      'deleted 0',
      'deleted 1',
      'deleted 2',
      'deleted 3',
      'rewound 0',
      'rewound 3',
    ]);
  });
});

/** A record of one task whose losses are given. */
const record = (losses: { line: [number, number][]; plugIn: number; deleted: number[] }): AnalysisRecord => {
  const figures = (loss: number) => [{ value: '0.5000', loss: loss.toFixed(6) }];
  return {
    tasks: [{ task: 'words', metric: 'acc', samples: 8 }],
    coefficient: 1,
    transferLayers: [0],
    plugIn: figures(losses.plugIn),
    interpolation: losses.line.map(([coefficient, loss]) => ({ coefficient, figures: figures(loss) })),
    deleted: losses.deleted.map((loss, layer) => ({ layer, figures: figures(loss) })),
  };
};

describe('the summary', () => {
  const line: [number, number][] = [
    [-1, 5],
    [0, 2],
    [0.5, 1.75],
    [1, 1],
    [1.25, 0.75],
  ];

  test('names the best place, the barrier, and the layers that matter most and least', () => {
    expect(summaryOf(record({ line, plugIn: 1, deleted: [4, 0.9, 1.5] }))).toEqual([
      {
        task: 'words',
        samples: 8,
        loss: '1.0000',
        interpolation: { fullLoss: '2.0000', bestCoefficient: '1.25', bestLoss: '0.7500', barrier: '0.2500' },
        deleted: { largest: { layer: 0, change: '3.0000' }, smallest: { layer: 1, change: '-0.1000' } },
      },
    ]);
  });

  test('a line that stays below the straight one has no barrier; places beyond the ends do not count', () => {
    const points = [-1, 0, 0.5, 1, 2].map((at) => ({ at, loss: at * at }));
    expect(barrierOf(points, { at: 0, loss: 0 }, { at: 1, loss: 1 })).toBe(0);
  });

  test('where nothing between the ends was measured nothing is told of a barrier', () => {
    const ends = [
      { at: 0, loss: 2 },
      { at: 1, loss: 1 },
    ] as const;
    expect(barrierOf([...ends, { at: 1.5, loss: 9 }], ...ends)).toBeUndefined();
    const only: [number, number][] = [
      [0, 2],
      [1, 1],
    ];
    expect(summaryOf(record({ line: only, plugIn: 1, deleted: [2] }))[0]?.interpolation).not.toHaveProperty(
      'barrier',
    );
  });

  test('the plug-in lies on the line, wherever the list has its places', () => {
    const around: [number, number][] = [
      [0, 2],
      [5, 4],
    ];
    const best = (plugIn: number) =>
      summaryOf(record({ line: around, plugIn, deleted: [2] }))[0]?.interpolation?.bestCoefficient;
    expect([best(1), best(3)]).toEqual(['1', '0']);
  });

  test('a place without numbers is passed over; without the full model there is no barrier', () => {
    const found = record({ line: [[1, 1]], plugIn: 1, deleted: [2] });
    found.interpolation?.push({ coefficient: 9, figures: [] });
    expect(summaryOf(found)[0]?.interpolation).toEqual({ bestCoefficient: '1', bestLoss: '1.0000' });
  });

  test('of 128 layers it fits the status and the termination message', () => {
    const deep = record({ line, plugIn: 1, deleted: Array.from({ length: 128 }, (_, i) => 1 + i) });
    const analysis = summaryOf({ ...deep, rewound: deep.deleted });
    expect(kinds.PlugIn.status.safeParse({ analysis }).error).toBeUndefined();
    const message = writeTermination('plug', { ok: true, status: { evaluation: [], gates: [], analysis } });
    expect(JSON.parse(message)).toMatchObject({ summary: { analysis } });
    expect(Buffer.byteLength(message)).toBeLessThan(1000);
  });

  test('a task takes less room in the message than its evaluation, so it is left out before it', () => {
    const cell = { value: '0.5000', stderr: '0.0300' };
    const names = ['plugIn - fullZeroShot', 'plugIn - emulatorFineTuned', 'plugIn - emulatorZeroShot'];
    const evaluation = {
      task: 'words',
      metric: 'acc',
      samples: 8,
      cells: { fullZeroShot: cell, emulatorZeroShot: cell, emulatorFineTuned: cell, plugIn: cell },
      differences: names.map((name) => ({
        ...{ name, value: '0.0100', stderr: '0.0300', low: '-0.0400' },
        high: '0.0600',
      })),
    };
    const found = record({ line, plugIn: 1, deleted: [4, 0.9] });
    const [analysis] = summaryOf({ ...found, rewound: found.deleted });
    expect(JSON.stringify(analysis).length).toBeLessThan(JSON.stringify(evaluation).length);
  });
});

describe('what is kept', () => {
  let directory: string;
  let output: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'offsite-kept-'));
    output = join(directory, 'model');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const never = () => Promise.reject(new Error('was measured again'));
  const figures = [{ value: '0.5000', loss: '1.000000' }];

  test('is there for the same work, and not for other work', async () => {
    const first = await KeptWork.open(output, { model: 'a' }, inPlace);
    await first.evaluation(async () => []);
    await first.addFigures('deleted 0', figures);
    const again = await KeptWork.open(output, { model: 'a' }, inPlace);
    expect(await again.evaluation(never)).toEqual([]);
    expect(again.figures('deleted 0')).toEqual(figures);
    expect(again.figures('deleted 1')).toBeUndefined();
    const other = await KeptWork.open(output, { model: 'b' }, inPlace);
    expect(other.figures('deleted 0')).toBeUndefined();
  });

  test('a report sees it only when it is finished', async () => {
    const work = await KeptWork.open(output, { model: 'a' }, inPlace);
    await work.addFigures('deleted 0', figures);
    expect(readAnalysis(output)).toBeUndefined();
    const found = record({ line: [[1, 1]], plugIn: 1, deleted: [] });
    await work.finish(found);
    expect(readAnalysis(output)).toEqual(found);
  });

  test.each(['', '{', '{"identity":"x"}'])('a damaged file (%j) counts as none', async (text) => {
    const first = await KeptWork.open(output, { model: 'a' }, inPlace);
    await first.addFigures('deleted 0', figures);
    writeFileSync(analysisFile(output), text);
    const work = await KeptWork.open(output, { model: 'a' }, inPlace);
    expect(work.figures('deleted 0')).toBeUndefined();
  });
});
