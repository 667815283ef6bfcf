// What a run tells of without failing: a probe set that says nothing, and a change that the saved model's type rounds away.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { workDirectory } from '../support/golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import {
  setField,
  tinyManifests,
  writeManifests,
  writeRows,
  writeTinyModel,
  writeTinyProject,
} from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

beforeAll(async () => {
  writeTinyProject(work.path);
  writeTinyModel(at('model'), { dtype: 'BF16' });
  const row = JSON.stringify({ text: 'the same words again' });
  writeFileSync(at('data/probe.jsonl'), `${row}\n`.repeat(20));
  const { build, tune, plug } = tinyManifests();
  setField(tune, 'spec.training.steps', 1);
  setField(tune, 'spec.training.learningRate', '1e-6');
  setField(plug, 'spec.gates', undefined);
  writeManifests(at('resources.yaml'), [build, tune, plug]);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
  expect(ended.code, ended.stderr).toBe(0);
});

test('equal rows of a probe set: a warning, the status and the report', () => {
  const doubts =
    'all 16 rows of the probe set are equal, and similarities of layers are chance: take other rows';
  expect(ended.stdout + ended.stderr).toContain(`warning: SimilarityDoubtful: ${doubts}`);
  expect(savedStatus(at('work'), 'EmulatorBuild', 'tiny')).toMatchObject({ similarity: { doubts } });
  expect(readFileSync(at('work/report.html'), 'utf8')).toContain(doubts);
});

test('a change that bfloat16 rounds away: a warning, the status and the report', () => {
  expect(ended.stdout + ended.stderr).toMatch(
    /warning: RoundedAway: the model's bfloat16 keeps \d\.\d % of the \d+ weights that the adapter changes/,
  );
  const { merge } = savedStatus(at('work'), 'PlugIn', 'tiny') as unknown as {
    merge: { dtype: string; changedWeights: number; keptShare: string };
  };
  expect(merge.dtype).toBe('bfloat16');
  expect(merge.changedWeights).toBeGreaterThan(10_000);
  expect(Number(merge.keptShare)).toBeLessThan(0.1);
  expect(readFileSync(at('work/report.html'), 'utf8')).toMatch(/the saved model's bfloat16 keeps \d\.\d %/);
});

test.each([
  [
    'no rows',
    'red blue green',
    16,
    'the probe set has 0 rows with a token to predict after the first 16; scores need 2',
  ],
  [
    'one row',
    'red blue green',
    17,
    'the probe set has 1 rows with a token to predict after the first 16; scores need 2',
  ],
  [
    'rows of one token',
    'a',
    20,
    'the probe set has 0 rows with a token to predict after the first 16; scores need 2',
  ],
  [
    'one row of more',
    'a',
    17,
    'the probe set has 1 rows with a token to predict after the first 16; scores need 2',
    'red blue',
  ],
])(
  'no scores where a probe set has %s after its samples, and why',
  async (_, last, count, reason, ...more) => {
    const texts = Array.from({ length: count }, (_, i) => (i < 16 ? `red blue green ${i}` : last));
    const rows = [...texts, ...more].map((text) => ({ text }));
    writeRows(at('data/probe.jsonl'), rows);
    const { build } = tinyManifests();
    setField(build, 'metadata.name', 'without');
    setField(build, 'spec.output.uri', 'file:out/without');
    setField(build, 'spec.evaluation', undefined);
    writeManifests(at('without.yaml'), [build]);
    const { code, stderr } = await offsite(['run', '-f', at('without.yaml'), '--work-dir', at('work')]);
    expect(code, stderr).toBe(0);
    expect(savedStatus(at('work'), 'EmulatorBuild', 'without')).toMatchObject({ scores: { reason } });
  },
);
