// Every way to make an emulator, in one run: built, tuned, plugged in, verified; and built again it has the same digest.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openModel } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

/** Of the tiny model's five layers. */
interface Case {
  /** Fields of the build's spec that are other than in the tiny manifest. */
  build: Record<string, unknown>;
  /** What is trained; the transfer layers when absent. */
  adapter?: object;
  kept: number;
  transferLayers: number[];
  /** Whether all that the bundle holds is the model's own. */
  exact: boolean;
}

const cases: Record<string, Case> = {
  all: {
    build: { strategy: 'none', layers: undefined },
    kept: 5,
    transferLayers: [0, 4],
    exact: true,
  },
  'low-rank': {
    build: {
      strategy: 'none',
      layers: undefined,
      compression: { type: 'lowRank', ratio: '0.35' },
    },
    kept: 5,
    transferLayers: [0, 4],
    exact: false,
  },
  'low-rank-lora': {
    build: {
      strategy: 'none',
      layers: undefined,
      compression: { type: 'lowRank', ratio: '0.5', ratios: 'loss', select: 'gradient' },
      transferLayers: { count: 0 },
      'probe.shards': 2,
    },
    adapter: { type: 'lora', rank: 2 },
    kept: 5,
    transferLayers: [],
    exact: false,
  },
  width: {
    build: { strategy: 'none', layers: undefined, compression: { type: 'width', ratio: '0.5' } },
    kept: 5,
    transferLayers: [0, 4],
    exact: false,
  },
  'width-lora': {
    build: {
      strategy: 'none',
      layers: undefined,
      compression: { type: 'width', ratio: '0.5', score: 'gradient', refit: false, lambda: '2' },
      transferLayers: { count: 0 },
      'probe.shards': 2,
    },
    adapter: { type: 'lora', rank: 2 },
    kept: 5,
    transferLayers: [],
    exact: false,
  },
  'low-rank-refined': {
    build: {
      strategy: 'none',
      layers: undefined,
      compression: { type: 'lowRank', ratio: '0.35' },
      refine: { type: 'distil', steps: 3, batchSize: 4 },
    },
    kept: 5,
    transferLayers: [0, 4],
    exact: false,
  },
  'four-bits': {
    build: { strategy: 'none', layers: undefined, compression: { type: 'quantize', bits: 4 } },
    kept: 5,
    transferLayers: [0, 4],
    exact: false,
  },
  angular: {
    build: { strategy: 'angular', layers: 3, 'probe.shards': 2 },
    kept: 3,
    transferLayers: [0, 2],
    exact: false,
  },
  sleb: {
    build: { strategy: 'sleb', layers: 3, sharing: 'none' },
    kept: 3,
    transferLayers: [0, 4],
    exact: false,
  },
  laco: {
    build: { strategy: 'uniform', layers: 3, sharing: 'none', compression: { type: 'laco' } },
    kept: 3,
    transferLayers: [0, 4],
    exact: false,
  },
};

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;
let digests: Record<string, string | undefined>;

const run = () => offsite(['run', '-f', at('cases.yaml'), '--work-dir', at('work')]);
const digestsNow = () =>
  Object.fromEntries(Object.keys(cases).map((name) => [name, digestIn(at(name, 'emulator'))]));

beforeAll(async () => {
  writeTinyProject(work.path);
  const manifests = Object.entries(cases).flatMap(([name, { build: fields, adapter }]) => {
    const { build, tune, plug } = tinyManifests((place) =>
      place.startsWith('out/') ? `file:${name}/${place.slice('out/'.length)}` : `file:${place}`,
    );
    for (const one of [build, tune, plug]) setField(one, 'metadata.name', name);
    for (const other of ['emulator', 'adapter'])
      for (const one of [tune, plug]) if (other in one.spec) setField(one, `spec.${other}.ref.name`, name);
    setField(build, 'spec.evaluation', { leak: true });
    for (const [field, value] of Object.entries(fields)) setField(build, `spec.${field}`, value);
    setField(tune, 'spec.training.steps', 2);
    setField(tune, 'spec.adapter', adapter);
    return [build, tune, plug];
  });
  writeManifests(at('cases.yaml'), manifests);
  ended = await run();
  expect(ended.code, ended.stderr).toBe(0);
  digests = digestsNow();
});

describe.each(Object.entries(cases))('%s', (name, { kept, transferLayers, exact }) => {
  test('keeps and trains the layers that it should', () => {
    const { plan, scores } = savedStatus(at('work'), 'EmulatorBuild', name) as unknown as {
      plan: { kept: number[]; transferLayers: number[] };
      scores: { exactTensorShare: string; leak: { subspaceShare: string; layerSubspaceShare: string } };
    };
    expect(plan.kept).toHaveLength(kept);
    expect(plan.transferLayers).toEqual(transferLayers);
    expect(Number(scores.exactTensorShare) === 1).toBe(exact);
    // more than the exact transfer layers: what stands in another layer's place tells of it
    const share = Number(scores.leak.layerSubspaceShare);
    expect(share === 1).toBe(exact);
    expect(share).toBeGreaterThan(transferLayers.length / 5);
  });

  test('is a good bundle', async () => {
    const verified = await offsite(['verify', at(name, 'emulator')]);
    expect(verified.code, verified.stderr).toBe(0);
  });

  test('its adapter changes the full model, and nothing but its own layers', () => {
    const [before, after] = [openModel(at('model')), openModel(at(name, 'model'))];
    const changed = [...before.tensors.keys()].filter(
      (tensor) => Buffer.compare(before.readBytes(tensor), after.readBytes(tensor)) !== 0,
    );
    const layers = new Set(changed.map((tensor) => Number(/layers\.(\d+)\./.exec(tensor)?.[1])));
    expect([...layers].sort()).toEqual(transferLayers.length > 0 ? transferLayers : [0, 1, 2, 3, 4]);
    before.close();
    after.close();
  });
});

test('built again, the bundles have the same digests', async () => {
  for (const name of Object.keys(cases)) rmSync(at(name, 'emulator'), { recursive: true });
  rmSync(at('work', 'EmulatorBuild'), { recursive: true, force: true });
  const again = await run();
  expect(again.code, again.stderr).toBe(0);
  expect(digestsNow()).toEqual(digests);
});
