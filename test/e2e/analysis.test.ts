// The analyses of a PlugIn through `offsite run`: what they find, where it is written, what happens to what was done.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PlugInStatus } from '../../src/api/index.ts';
import { peekManifest } from '../../src/artifact/index.ts';
import type { AnalysisRecord } from '../../src/plugin/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { type Manifest, setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
const run = (file = 'resources.yaml') => offsite(['run', '-f', at(file), '--work-dir', at('work')]);
const statusOf = () => savedStatus(at('work'), 'PlugIn') as unknown as PlugInStatus;
const recordIn = (directory: string) =>
  peekManifest(directory)?.manifest.scores?.['analysis'] as AnalysisRecord;

let manifests: Manifest[];
let ended: Ended;
let record: AnalysisRecord;
beforeAll(async () => {
  const tiny = writeTinyProject(work.path, {
    change: ({ plug }) => {
      setField(plug, 'spec.analysis', { interpolation: {}, layerImportance: {} });
      setField(plug, 'spec.evaluation.tasks', [
        { name: 'questions', data: { uri: 'file:data/test.jsonl' }, format: 'multipleChoice' },
        { name: 'text', data: { uri: 'file:data/probe.jsonl' }, format: 'text', limit: 10 },
      ]);
    },
  });
  manifests = Object.values(tiny);
  ended = await run();
  record = recordIn(at('out', 'model'));
});

test('both ends of the line are the cells of the evaluation, on every task', () => {
  expect(ended.code, ended.stderr).toBe(0);
  const { evaluation = [] } = statusOf();
  expect(record.tasks).toEqual([
    { task: 'questions', metric: 'acc', samples: 12 },
    { task: 'text', metric: 'perplexity', samples: 10 },
  ]);
  const line = new Map(record.interpolation?.map(({ coefficient, figures }) => [coefficient, figures]));
  expect([...line.keys()]).toEqual([-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]);
  for (const [i, { cells }] of evaluation.entries()) {
    expect(line.get(0)?.[i]?.value).toBe(cells.fullZeroShot.value);
    expect(line.get(1)?.[i]?.value).toBe(cells.plugIn.value);
  }
  expect(line.get(1)).toEqual(record.plugIn);
});

test('losses are those of the metric where it is made of them, and no two places are the same model', () => {
  for (const { figures } of record.interpolation ?? [])
    expect(Math.exp(Number(figures[1]?.loss))).toBeCloseTo(Number(figures[1]?.value), 2);
  const losses = record.interpolation?.map(({ figures }) => figures[0]?.loss);
  expect(new Set(losses).size).toBe(9);
});

test('every layer is deleted, every transfer layer rewound, and each changes the loss', () => {
  expect(record.deleted?.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4]);
  expect(record.rewound?.map(({ layer }) => layer)).toEqual([0, 4]);
  const changed = [...(record.deleted ?? []), ...(record.rewound ?? [])];
  for (const { figures } of changed) expect(figures[0]?.loss).not.toBe(record.plugIn[0]?.loss);
});

test('the status has them in short', () => {
  const [questions, text] = statusOf().analysis ?? [];
  const losses = record.interpolation?.map(({ figures }) => Number(figures[0]?.loss)) ?? [];
  expect(questions).toMatchObject({ task: 'questions', samples: 12 });
  expect(questions?.interpolation?.bestLoss).toBe(Math.min(...losses).toFixed(4));
  expect(questions?.interpolation?.fullLoss).toBe(losses[2]?.toFixed(4));
  expect(Number(questions?.interpolation?.barrier)).toBeGreaterThanOrEqual(0);
  expect(Number(questions?.deleted?.largest.change)).toBeGreaterThan(0);
  expect([0, 4]).toContain(questions?.rewound?.largest.layer);
  expect(text?.task).toBe('text');
});

test('the report shows them', () => {
  const page = readFileSync(at('work', 'report.html'), 'utf8');
  for (const part of ['Loss on the line', 'Each layer deleted', 'Each transfer layer rewound'])
    expect(page.split(part)).toHaveLength(3);
});

test('each stage has its bar', () => {
  for (const stage of ['interpolation', 'layers deleted', 'layers rewound'])
    expect(ended.stderr).toContain(`plug: ${stage}`);
});

test('a second run measures nothing and ends with the same digest', async () => {
  const before = digestIn(at('out', 'model'));
  const again = await run();
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).not.toMatch(/plug: (?!done)/);
  expect(digestIn(at('out', 'model'))).toBe(before);
  expect(statusOf().analysis?.length).toBe(2);
});

describe('with other wishes', () => {
  const plug = () => manifests.at(-1) as Manifest;

  test('some tasks, some rows, one more place, nothing saved: the report shows what lies beside', async () => {
    setField(plug(), 'spec.analysis', {
      interpolation: { coefficients: ['1.0', '0', '1', '2'] },
      tasks: ['text'],
      limit: 4,
    });
    setField(plug(), 'spec.output', { uri: 'file:out/nothing', save: 'none' });
    writeManifests(at('other.yaml'), manifests);
    const other = await run('other.yaml');
    expect(other.code, other.stderr).toBe(0);
    expect(existsSync(at('out', 'nothing'))).toBe(false);
    const file = at('work', 'work', 'plugin', 'default', 'tiny', 'analysis.json');
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { analysis: AnalysisRecord };
    expect(kept.analysis.tasks).toEqual([{ task: 'text', metric: 'perplexity', samples: 4 }]);
    expect(kept.analysis.interpolation?.map(({ coefficient }) => coefficient)).toEqual([0, 1, 2]);
    expect(kept.analysis).not.toHaveProperty('deleted');
    const page = readFileSync(at('work', 'report.html'), 'utf8');
    expect(page).toContain('Loss on the line');
    expect(page).not.toContain('Each layer deleted');
  });

  test('a failed gate is explained too: the analyses are in the status, and nothing is released', async () => {
    setField(plug(), 'spec.output', { uri: 'file:out/stopped', save: 'model' });
    setField(plug(), 'spec.coefficient', '0');
    setField(plug(), 'spec.gates', { plugInAboveEmulatorFineTuned: {}, emulatorBelowFull: {} });
    writeManifests(at('gates.yaml'), manifests);
    const stopped = await run('gates.yaml');
    expect(stopped.code).toBe(1);
    const { phase, analysis } = statusOf();
    expect(phase).toBe('Failed');
    expect(analysis?.[0]?.task).toBe('text');
    expect(existsSync(at('out', 'stopped'))).toBe(false);
  });

  test('where an earlier spec has released something, a failed gate says that it stays', async () => {
    const released = digestIn(at('out', 'model'));
    setField(plug(), 'spec.output', { uri: 'file:out/model', save: 'model' });
    writeManifests(at('gates.yaml'), manifests);
    const { code, stdout, stderr } = await run('gates.yaml');
    expect(code).toBe(1);
    expect(`${stdout}${stderr}`).toContain(
      `nothing was released, but ${released} still lies at spec.output.uri from before`,
    );
    expect(digestIn(at('out', 'model'))).toBe(released);
  });
});

describe.each([
  ['layers', '0.75', 'model'],
  ['lora', '0.75', 'model'],
  // No model holds inserted modules, and an adapter is plugged in whole.
  ['bottleneck', '1', 'adapter'],
])('of a %s adapter on one layer', (type, coefficient, save) => {
  test('to rewind that layer is to have the full model again', async () => {
    const place = (name: string) => `file:out/${type}/${name}`;
    const [build, tune, plug] = structuredClone(manifests) as [Manifest, Manifest, Manifest];
    setField(build, 'spec.transferLayers', { layers: [2] });
    setField(build, 'spec.strategy', 'uniform');
    setField(build, 'spec.layers', 5);
    setField(build, 'spec.output.uri', place('emulator'));
    setField(tune, 'spec.adapter', { type });
    setField(tune, 'spec.output.uri', place('adapter'));
    setField(plug, 'spec.gates', undefined);
    setField(plug, 'spec.coefficient', coefficient);
    setField(plug, 'spec.analysis', {
      interpolation: { coefficients: ['0', '0.75', '1'] },
      layerImportance: {},
    });
    setField(plug, 'spec.output', { uri: place('model'), save });
    writeManifests(at(`${type}.yaml`), [build, tune, plug]);
    const { code, stderr } = await run(`${type}.yaml`);
    expect(code, stderr).toBe(0);
    const { interpolation, rewound, plugIn } = recordIn(at('out', type, 'model'));
    const [full, plugged, whole] = interpolation?.map(({ figures }) => figures) ?? [];
    expect(rewound).toEqual([{ layer: 2, figures: full }]);
    expect(plugIn).toEqual(coefficient === '1' ? whole : plugged);
    expect(new Set([full, plugged, whole].map((figures) => figures?.[0]?.loss)).size).toBe(3);
  });
});
