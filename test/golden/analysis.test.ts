// The analyses of small plugged-in models of every family against transformers: losses on the line and beyond, with each
// layer deleted, with each transfer layer rewound (test/reference/families_analysis.py).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { inPlace } from '../../src/artifact/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { packForModel } from '../../src/evaluation/index.ts';
import { type Model, openModel } from '../../src/model/index.ts';
import { type AnalysisRecord, analyse, KeptWork } from '../../src/plugin/analysis/index.ts';
import { mergedTensors } from '../../src/plugin/merge.ts';
import type { StageEvent } from '../../src/progress/index.ts';
import { type Fixture, fixtureOf, uniform, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const reference = JSON.parse(
  readFileSync(new URL('../fixtures/families-analysis.json', import.meta.url), 'utf8'),
) as {
  share: number;
  coefficients: number[];
  losses: Record<string, { interpolation: number[]; deleted: number[]; rewound: number[] }>;
};

const work = workDirectory();
afterAll(work.remove);

/** The transfer layers' weights with what the reference added. */
function pluggedTensors(model: Model, { tensors, emulator }: Fixture): Map<string, Float32Array> {
  const scales = new Map(tensors.map(([name, , , scale]) => [name, scale]));
  const names = emulator!.transferLayers.flatMap((layer) =>
    Object.values(model.architecture.block(layer)).map(({ name }) => name),
  );
  return new Map(
    names.map((name) => {
      const full = model.read(name);
      const added = uniform(`plugged ${name}`, full.length);
      const share = reference.share * scales.get(name)!;
      return [name, full.map((value, i) => value + Math.fround(share * added[i]!))];
    }),
  );
}

async function analysed(variant: string, memory: number): Promise<AnalysisRecord> {
  const fixture = fixtureOf(variant);
  const path = join(work.path, variant);
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const plugged = pluggedTensors(model, fixture);
  const examples = fixture.rows.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
  const batches = packForModel(examples, model.architecture, { memory: 2 ** 30 });
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  try {
    return await analyse({
      analysis: {
        interpolation: { coefficients: reference.coefficients.map(String) },
        layerImportance: { methods: ['delete', 'rewind'] },
      },
      model,
      at: (coefficient) => mergedTensors(model, plugged, coefficient),
      plugged: { transferLayers: fixture.emulator!.transferLayers, coefficient: 1 },
      tasks: [{ name: 'rows', metric: 'perplexity', examples, batches }],
      kept: await KeptWork.open(join(work.path, `${variant} ${memory}`), variant, inPlace),
      engine,
      memory,
      emit: () => {},
    });
  } finally {
    await engine.dispose();
    model.close();
  }
}

const lossesOf = (entries: readonly { figures: { loss: string }[] }[] = []) =>
  entries.map(({ figures }) => Number(figures[0]?.loss));
const farthest = (ours: readonly number[], theirs: readonly number[]) =>
  Math.max(...theirs.map((loss, i) => Math.abs(ours[i]! - loss) / loss));

describe.each(Object.keys(reference.losses))('%s', (variant) => {
  const expected = reference.losses[variant]!;

  test.each([
    ['in memory', 2 ** 30],
    ['streamed block by block', 1],
  ])('every loss is that of transformers, weights %s', async (_, memory) => {
    const { interpolation, deleted, rewound } = await analysed(variant, memory);
    expect(interpolation?.map(({ coefficient }) => coefficient)).toEqual(reference.coefficients);
    expect(farthest(lossesOf(interpolation), expected.interpolation)).toBeLessThan(1e-5);
    expect(farthest(lossesOf(deleted), expected.deleted)).toBeLessThan(1e-5);
    expect(farthest(lossesOf(rewound), expected.rewound)).toBeLessThan(1e-5);
  });

  test('the reference tells each from the plug-in by more than the tolerance', () => {
    const { interpolation, deleted, rewound } = expected;
    const plugIn = interpolation[reference.coefficients.indexOf(1)]!;
    const others = [...interpolation.filter((loss) => loss !== plugIn), ...deleted, ...rewound];
    expect(others.length).toBe(4 + deleted.length + rewound.length);
    for (const loss of others) expect(Math.abs(loss - plugIn) / plugIn).toBeGreaterThan(1e-4);
  });
});

test('a place whose weights do not fit the model is left out, with a warning; the others are not', async () => {
  const path = join(work.path, 'f16');
  writeCheckpoint(path, fixtureOf('llama-f16'));
  const model = openModel(path);
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const { name, shape } = Object.values(model.architecture.block(0)).find(
    ({ shape: [first] }) => first! > 1,
  )!;
  const large = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(30_000);
  const examples = [{ row: 0, trunk: [5, 6, 7], branches: [], bytes: [] }];
  const events: StageEvent[] = [];
  const { interpolation } = await analyse({
    analysis: { interpolation: { coefficients: ['0', '1', '3'] } },
    model,
    at: (coefficient) => mergedTensors(model, new Map([[name, large]]), coefficient),
    plugged: { transferLayers: [0], coefficient: 1 },
    tasks: [
      {
        name: 'rows',
        metric: 'perplexity',
        examples,
        batches: packForModel(examples, model.architecture, { memory: 2 ** 30 }),
      },
    ],
    kept: await KeptWork.open(path, 'f16', inPlace),
    engine,
    memory: 2 ** 30,
    emit: (event) => events.push(event),
  });
  await engine.dispose();
  model.close();
  expect(interpolation?.map(({ figures }) => figures.length)).toEqual([1, 1, 0]);
  expect(events.filter(({ type }) => type === 'warning')).toEqual([
    expect.objectContaining({
      reason: 'NotAnalysed',
      message: expect.stringMatching(
        /^interpolated 3 is left out of the analysis: .*too large for the model's F16/,
      ),
    }),
  ]);
});
