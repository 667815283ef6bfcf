// What a private step may take of memory is taken before a row is drawn: whether a process has the room tells nothing of the rows.
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type OffsiteTune, parseResource } from '../../src/api/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { Decoder } from '../../src/model/index.ts';
import { tune } from '../../src/tuning/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { offsite } from '../support/offsite/index.ts';
import {
  setField,
  tinyManifests,
  tinyRows,
  writeManifests,
  writeRows,
  writeTinyProject,
} from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
const embed = vi.spyOn(Decoder.prototype, 'embed');
let engine: Engine;

beforeAll(async () => {
  const { build } = writeTinyProject(work.path);
  writeManifests(at('build.yaml'), [build]);
  const { code, stderr } = await offsite(['run', '-f', at('build.yaml'), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
  writeRows(at('choices.jsonl'), tinyRows.multipleChoice(16, 5));
  const pairs = Array.from({ length: 16 }, (_, i) => ({
    prompt: `${i} is`,
    chosen: ' even',
    rejected: ' odd',
  }));
  writeRows(at('pairs.jsonl'), pairs);
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
beforeEach(() => void embed.mockClear());
afterAll(async () => {
  embed.mockRestore();
  await engine.dispose();
  work.remove();
});

/** Sequences and tokens of all that is computed, in order. */
async function computed(
  name: string,
  fields: Record<string, unknown>,
): Promise<[size: number, length: number][]> {
  const manifest = tinyManifests().tune;
  const training = {
    steps: 2,
    batchSize: 8,
    learningRate: '1e-3',
    checkpointSteps: 1,
    seed: 3,
    maxLength: 400,
  };
  for (const [field, value] of Object.entries({ 'spec.training': training, ...fields }))
    setField(manifest, field, value);
  await tune({
    spec: (parseResource(manifest, 'test') as OffsiteTune).spec,
    emulator: { directory: at('out/emulator') },
    data: at(fields['spec.data.format'] === 'preference' ? 'pairs.jsonl' : 'choices.jsonl'),
    output: at(name, 'out'),
    work: at(name, 'work'),
    ...{ engine, memory: 2 ** 30, emit: () => {} },
  });
  return embed.mock.calls.map(([{ size, length }]) => [size, length]);
}

const privacy = { 'spec.privacy': { noiseMultiplier: '1', delta: '1e-3' } };
const pairs = { 'spec.data.format': 'preference', 'spec.objective': { type: 'dpo', beta: '0.1' } };

test.each<[string, Record<string, unknown>, number]>([
  ['a row', privacy, 400],
  ['a row, with dropout', { ...privacy, 'spec.adapter': { type: 'lora', rank: 4, dropout: '0.2' } }, 400],
  ['a pair, and its reference', { ...privacy, ...pairs }, 800],
])(
  '%s: two as long as maxLength lets any be are computed first, alone, and none is longer',
  async (name, fields, longest) => {
    const [first, second, ...others] = await computed(name, fields);
    expect([first, second]).toEqual([
      [1, longest],
      [1, longest],
    ]);
    expect(others.length).toBeGreaterThan(0);
    for (const [, length] of others) expect(length).toBeLessThan(longest);
  },
);

test('where no row is hidden, nothing is computed but rows', async () => {
  for (const [, length] of await computed('told', {})) expect(length).toBeLessThan(400);
});
