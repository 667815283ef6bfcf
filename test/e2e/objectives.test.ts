// Two objectives of one party side by side, and one PlugIn that merges them (PAFT, arXiv 2406.17923), through `offsite run`.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OffsiteTuneStatus, PlugInStatus } from '../../src/api/index.ts';
import { type Checkpoint, openCheckpoint } from '../../src/checkpoint/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import {
  type Manifest,
  setField,
  tinyRows,
  writeManifests,
  writeRows,
  writeTinyProject,
} from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
const checkpoints: Checkpoint[] = [];
const opened = (...parts: string[]) => {
  const checkpoint = openCheckpoint(at(...parts));
  checkpoints.push(checkpoint);
  return checkpoint;
};
afterAll(() => {
  for (const checkpoint of checkpoints) checkpoint.close();
  work.remove();
});
const tuned = (name: string) => savedStatus(at('work'), 'OffsiteTune', name) as unknown as OffsiteTuneStatus;
const plugged = (name: string) => savedStatus(at('work'), 'PlugIn', name) as unknown as PlugInStatus;

/** What is said of a thing, before the same of another colour. */
const pairs = (count: number, seed: number) =>
  tinyRows.completion(count, seed).map(({ prompt, completion }) => ({
    ...{ prompt, chosen: completion },
    rejected: completion === ' white.' ? ' black.' : ' white.',
  }));

let ended: Ended;
beforeAll(async () => {
  const { build, tune, plug } = writeTinyProject(work.path);
  for (const [i, name] of ['train', 'validation', 'test'].entries())
    writeRows(at('data', `${name}-pairs.jsonl`), pairs([40, 8, 24][i]!, i + 2));
  const variant = (manifest: Manifest, name: string, fields: Record<string, unknown>): Manifest => {
    const copy = structuredClone(manifest);
    copy.metadata.name = name;
    setField(copy, 'spec.output.uri', `file:out/${name}`);
    for (const [field, value] of Object.entries(fields)) setField(copy, `spec.${field}`, value);
    return copy;
  };
  const data = {
    uri: 'file:data/train-pairs.jsonl',
    validation: { uri: 'file:data/validation-pairs.jsonl' },
    format: 'preference',
  };
  const released = { uri: 'file:data/test-pairs.jsonl' };
  const merge = (name: string, method: string, weight: string) =>
    variant(plug, name, {
      adapter: undefined,
      adapters: ['sparse', 'preferred'].map((ref) => ({ ref: { name: ref }, weight })),
      aggregation: { method },
      'evaluation.tasks': (['acc', 'pair_acc'] as const).map((metric) => ({
        ...{ name: metric.replace('_', '-'), metric, data: released, format: 'preference' },
      })),
    });
  writeManifests(at('resources.yaml'), [
    build,
    variant(tune, 'sparse', { objective: { type: 'sft', l1: '0.3' } }),
    variant(tune, 'preferred', { data, objective: { type: 'dpo', beta: '0.1' } }),
    ...['orpo', 'simpo'].map((type) => variant(tune, type, { data, objective: { type } })),
    merge('summed', 'linear', '0.5'),
    merge('elected', 'ties', '1'),
  ]);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

test('each objective trains to its end, and the tuned emulator leans more to the chosen answers', () => {
  expect(ended.code, ended.stderr).toBe(0);
  const share = Number(tuned('sparse').training!.unchanged);
  expect(share).toBeGreaterThan(0.01);
  expect(share).toBeLessThan(1);
  for (const name of ['preferred', 'orpo', 'simpo']) {
    const { training, validation } = tuned(name);
    expect(training, name).not.toHaveProperty('unchanged');
    expect(Number(training!.lastLoss), name).toBeLessThan(Number(training!.firstLoss));
    const { emulatorZeroShot, emulatorFineTuned } = validation!.cells;
    expect(validation!.metric, name).toBe(name === 'preferred' ? 'pair_acc' : 'acc');
    if (name === 'preferred') expect(emulatorZeroShot.value).toBe('0.5000');
    expect(Number(emulatorFineTuned.value), name).toBeGreaterThanOrEqual(Number(emulatorZeroShot.value));
  }
});

// Before anything has changed a pair's margin is 0, and the loss ln 2: reference and policy are one model.
test('where angles follow from the length, both answers have those of the longer one in the reference, too', async () => {
  const { build, tune } = writeTinyProject(at('long'), {
    model: {
      config: {
        rope_scaling: {
          rope_type: 'longrope',
          factor: 4,
          short_factor: [1, 1, 1, 1],
          long_factor: [9, 9, 9, 9],
        },
        original_max_position_embeddings: 30,
      },
    },
  });
  const long = pairs(16, 2).map((pair) => ({ ...pair, rejected: `${pair.rejected.repeat(9)}.` }));
  writeRows(at('long', 'data', 'long-pairs.jsonl'), long);
  setField(tune, 'spec.data', { uri: 'file:data/long-pairs.jsonl', format: 'preference' });
  setField(tune, 'spec.objective', { type: 'dpo', beta: '0.5' });
  setField(tune, 'spec.training', { steps: 1, batchSize: 16, learningRate: '1e-4', maxLength: 256, seed: 1 });
  writeManifests(at('long', 'resources.yaml'), [build, tune]);
  const { code, stderr } = await offsite([
    'run',
    '-f',
    at('long', 'resources.yaml'),
    '--work-dir',
    at('long', 'work'),
  ]);
  expect(code, stderr).toBe(0);
  const { training } = savedStatus(at('long', 'work'), 'OffsiteTune', 'tiny') as unknown as OffsiteTuneStatus;
  expect(Number(training?.firstLoss)).toBeCloseTo(Math.LN2, 3);
});

test('linear with weights of one half adds half of both changes to the full model, and none where neither has any', () => {
  const [full, result] = [opened('model/model.safetensors'), opened('out/summed/model.safetensors')];
  const [sparse, preferred] = ['sparse', 'preferred'].map((name) =>
    opened('out', name, 'adapter.safetensors'),
  );
  let changed = 0;
  for (const name of full.tensors.keys()) {
    const before = full.read(name);
    const halves = [sparse!, preferred!].map((one) => (one.tensors.has(name) ? one.read(name) : before));
    const wanted = before.map((value, i) =>
      Math.fround(value + 0.5 * (halves[0]![i]! - value) + 0.5 * (halves[1]![i]! - value)),
    );
    const found = result.read(name);
    const off = found.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
    expect(off, name).toBeLessThan(1e-6);
    changed += found.filter((value, i) => value !== before[i]).length;
  }
  expect(changed).toBeGreaterThan(0);
});

test('pairs are measured against the full model, whose own cell is one half without an error', () => {
  for (const name of ['summed', 'elected']) {
    const tasks = plugged(name).evaluation!;
    expect(tasks.map(({ metric }) => metric)).toEqual(['acc', 'pair_acc']);
    const { cells } = tasks[1]!;
    expect(cells.fullZeroShot).toEqual({ value: '0.5000', stderr: '0.0000' });
    expect(Number(cells.plugIn.value)).toBeGreaterThan(0.5);
    expect(plugged(name).parties!.map(({ digest }) => digest)).toEqual(
      ['sparse', 'preferred'].map((adapter) => digestIn(at('out', adapter))).sort(),
    );
  }
});
