// Training that hides its rows: what crosses and what stays, and what attacks find with and without it.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OffsiteTuneStatus } from '../../src/api/index.ts';
import { Random } from '../../src/data/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, type Ended, failureOf, offsite, savedStatus } from '../support/offsite/index.ts';
import {
  type Manifest,
  setField,
  writeFamilyProject,
  writeManifests,
  writeRows,
  writeTinyProject,
} from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

/** Rows with nothing to learn but the rows themselves. */
function strange(count: number, seed: number) {
  const random = new Random(seed);
  const letter = () => String.fromCharCode('a'.charCodeAt(0) + random.below(26));
  const word = () => Array.from({ length: 4 }, letter).join('');
  return Array.from({ length: count }, () => ({ prompt: word(), completion: ` ${word()}` }));
}

/** A build of a family with learned positions, and trainings on short rows that allow as long ones as there are, and longer ones. */
function positioned(family: string, variant: (name: string, fields: Record<string, unknown>) => Manifest) {
  const [build] = writeFamilyProject(work.path, family);
  const tuneOf = (name: string, maxLength: number) =>
    variant(name, {
      ...{ 'emulator.ref.name': family, adapter: { type: 'lora', rank: 2 }, privacy: { epsilon: '8' } },
      training: { steps: 2, batchSize: 4, learningRate: '1e-3', maxLength },
    });
  return [build!, tuneOf('fits', 256), tuneOf('over', 257)];
}

beforeAll(async () => {
  const { build, tune } = writeTinyProject(work.path);
  writeRows(at('data', 'strange.jsonl'), strange(48, 5));
  writeRows(at('data', 'others.jsonl'), strange(120, 6));
  // Of one token each, with none to predict.
  writeRows(
    at('data', 'alone.jsonl'),
    Array.from({ length: 16 }, () => ({ text: 'a' })),
  );
  const variant = (name: string, fields: Record<string, unknown>): Manifest => {
    const copy = structuredClone(tune);
    setField(copy, 'metadata.name', name);
    setField(copy, 'spec.output.uri', `file:out/${name}`);
    for (const [field, value] of Object.entries(fields)) setField(copy, `spec.${field}`, value);
    return copy;
  };
  const learned = {
    data: {
      uri: 'file:data/strange.jsonl',
      validation: { uri: 'file:data/others.jsonl' },
      format: 'completion',
    },
    adapter: { head: true },
    training: { steps: 40, batchSize: 8, learningRate: '1e-2', schedule: 'constant', evalSteps: 40 },
    audit: { membership: {}, canaries: { count: 8, candidates: 63 } },
  };
  writeManifests(at('resources.yaml'), [
    build,
    tune,
    variant('infinite', { privacy: { epsilon: 'infinity' } }),
    variant('few', { privacy: { noiseMultiplier: '1' }, 'training.batchSize': 1 }),
    variant('delta', { privacy: { epsilon: '8', delta: '0.1' } }),
    variant('same', { ...learned, data: { ...learned.data, validation: { uri: learned.data.uri } } }),
    variant('same-hidden', {
      ...{ ...learned, privacy: { epsilon: '8' }, training: { ...learned.training, steps: 2, evalSteps: 2 } },
      data: { ...learned.data, validation: { uri: learned.data.uri } },
    }),
    ...['alone', 'alone-hidden'].map((name) =>
      variant(name, {
        data: { uri: 'file:data/alone.jsonl', validation: { uri: 'file:data/alone.jsonl' }, format: 'text' },
        ...(name === 'alone-hidden' && { privacy: { epsilon: '8' }, audit: { membership: {} } }),
        'training.steps': 2,
      }),
    ),
    ...positioned('gpt2', variant),
    variant('told', learned),
    variant('hidden', { ...learned, privacy: { epsilon: '2' } }),
  ]);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

const statusOf = (name: string) =>
  savedStatus(at('work'), 'OffsiteTune', name) as unknown as OffsiteTuneStatus;
const read = (path: string) => JSON.parse(readFileSync(at('out', path), 'utf8'));

test('an epsilon of infinity gives the adapter of a training without privacy', () => {
  expect(digestIn(at('out', 'adapter')), ended.stderr).toMatch(/^sha256:/);
  expect(digestIn(at('out', 'infinite'))).toBe(digestIn(at('out', 'adapter')));
  expect(statusOf('infinite').training).not.toHaveProperty('privacy');
});

test('a training of which many steps have no rows comes to its end', () => {
  expect(statusOf('few')).toMatchObject({ phase: 'Complete', training: { steps: 8, bestStep: 8 } });
});

test('a delta that handing out a row would keep is refused', () => {
  expect(failureOf(at('work'), 'OffsiteTune', 'delta')).toMatchObject({
    reason: 'BadSpec',
    message: expect.stringContaining('spec.privacy.delta: is not below 1 / rows') as string,
  });
});

test('an audit that has no row but those that were trained on is refused before anything is', () => {
  expect(failureOf(at('work'), 'OffsiteTune', 'same')).toMatchObject({
    reason: 'BadData',
    message: expect.stringContaining(
      'spec.data.validation: all of its rows with a token to predict are training rows',
    ) as string,
  });
});

test('what a tokenizer makes of hidden rows as a whole ends no run: that no adapter comes would tell of them', () => {
  const said = `${ended.stdout}${ended.stderr}`;
  expect(statusOf('same-hidden').artifact?.digest, said).toMatch(/^sha256:/);
  expect(statusOf('same-hidden').audit).toMatchObject({ canaries: { candidates: 63 } });
  expect(statusOf('same-hidden').audit).not.toHaveProperty('membership');
  expect(said).toMatch(/OffsiteTune same-hidden .*NoMembershipAudit/);

  expect(failureOf(at('work'), 'OffsiteTune', 'alone')).toMatchObject({
    reason: 'BadData',
    message: expect.stringContaining('has no row with a token to predict') as string,
  });
  expect(statusOf('alone-hidden').artifact?.digest, said).toMatch(/^sha256:/);
  expect(said).toMatch(/OffsiteTune alone-hidden .*NoTargets/);
  expect(said).not.toMatch(/OffsiteTune hidden .*No(Targets|MembershipAudit)/);
});

test('how long hidden rows may be follows from the spec and the positions of the emulator, and from no row', () => {
  const said = `${ended.stdout}${ended.stderr}`;
  expect(statusOf('fits').artifact?.digest, said).toMatch(/^sha256:/);
  expect(failureOf(at('work'), 'OffsiteTune', 'over')).toMatchObject({
    reason: 'BadSpec',
    message: expect.stringContaining(
      'spec.training.maxLength: 257 is more than the 256 tokens that the emulator has positions for',
    ) as string,
  });
});

test('what crosses says what is promised, and nothing that was measured on private rows', () => {
  const promised = {
    // The least noise that gives 2 is a multiple of 0.0001.
    epsilon: expect.stringMatching(/^(2\.0000|1\.99..)$/) as string,
    delta: '0.001',
    clipNorm: '1',
    noiseMultiplier: expect.stringMatching(/^[0-9.]+$/) as string,
    samplingRate: String(8 / 56),
  };
  const { training, validation } = statusOf('hidden');
  expect(training!.privacy).toMatchObject({ ...promised, clipped: expect.any(String) as string });
  expect(validation!.samples).toBe(120);
  const { hyperparameters, scores } = read('hidden/manifest.json');
  expect(hyperparameters).toMatchObject({ privacy: promised, canaries: { count: 8 } });
  // How batches are shaped follows from the longest row.
  expect(hyperparameters).not.toHaveProperty('plan');
  // The last step: none was chosen on rows that nothing hides.
  expect(scores).toEqual({ bestStep: 40 });
  const { result } = read('hidden.result.json');
  expect(Object.keys(result).toSorted()).toEqual(['artifact', 'training']);
  expect(result.training).toEqual({ steps: 40, bestStep: 40, privacy: promised });
  // Without privacy the cells cross as ever, and the audit stays.
  expect(Object.keys(read('told.result.json').result).toSorted()).toEqual([
    'artifact',
    'training',
    'validation',
  ]);
});

test('nobody has the key of the noise any more', () => {
  expect(globSync('**/noise-key', { cwd: work.path })).toEqual([]);
});

test('attacks succeed on what was learned by heart, and find next to nothing with an epsilon of 2', () => {
  const { membership, canaries } = statusOf('told').audit!;
  expect(Number(membership!.auc.low)).toBeGreaterThan(0.9);
  // 120 validation rows do not tell what one in a hundred is.
  expect(membership!.tpr).toMatchObject({ low: '0.0000' });
  expect(Number(membership!.tpr.value)).toBeGreaterThan(0.5);
  expect(Number(canaries!.exposure.low)).toBeGreaterThan(3);
  const hidden = statusOf('hidden').audit!;
  expect(hidden.membership).toMatchObject({ members: 48, nonMembers: 120 });
  // The noise is another in each run: chance is within five errors, where the 95 % interval has two.
  const { auc, tpr } = hidden.membership!;
  expect(Math.abs(Number(auc.value) - 0.5)).toBeLessThan((5 / 3.92) * (Number(auc.high) - Number(auc.low)));
  expect(Number(tpr.value)).toBeLessThan(0.3);
  expect(Number(hidden.canaries!.exposure.value)).toBeLessThan(4.5);
});

test('a head that is trained is warned of, where nothing hides its rows', () => {
  const said = `${ended.stdout}${ended.stderr}`;
  expect(said).toMatch(/OffsiteTune told .*RowsTold/);
  expect(said).not.toMatch(/OffsiteTune hidden .*RowsTold/);
});
