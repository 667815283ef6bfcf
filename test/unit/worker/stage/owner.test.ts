/** Whose an output in a store is: what of it is brought before anything is computed, and by whose word files there are removed. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Mirror, peekManifest, sealArtifact } from '../../../../src/artifact/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { outputOf, workOf } from '../../../../src/worker/places.ts';
import { forgetBringing, keepBringing } from '../../../../src/worker/stage/bringing.ts';
import { examineOutput, markOutput } from '../../../../src/worker/stage/owner.ts';
import { ownerOf, resultFileOf } from '../../../../src/worker/stage/result-file.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

let root: string;
let job: StageJob;
let pulled: string[];
/** The names that the store has at the output. */
let names: string[];
/** The marks of those that a push of ours brought. */
let writers: Record<string, string>;
const mirror = {
  mirrors: (path: string) => path === outputOf(job),
  async pullDocument(path: string) {
    pulled.push(path);
  },
  read: async (path: string) => readFileSync(path),
  async pull() {
    throw new Error('more than documents were brought');
  },
  async push() {},
  written: async (path: string) => ({ version: '1', writer: writers[basename(path)] }),
  look: async (path: string) => new Map(path === outputOf(job) ? names.map((name) => [name, '1']) : []),
} as unknown as Mirror;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-owner-'));
  const { tune } = tinyManifests();
  const spec = { ...(tune['spec'] as object), output: { uri: 's3://bucket/adapter' } };
  job = {
    resource: { ...tune, spec },
    stage: 'tune',
    mounts: { volumes: {}, scratch: root },
  } as unknown as StageJob;
  [pulled, names, writers] = [[], [], {}];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
function seal(): void {
  write(join(outputOf(job), 'adapter.safetensors'), 'weights');
  sealArtifact(outputOf(job), { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
  names = ['adapter.safetensors', 'manifest.json'];
}
const bringing = (files: string[], seen: [string, string][] = []) =>
  keepBringing(job, mirror, { files, writer: 'a killed run', seen: new Map(seen) });
const forge = (files: string[]) =>
  write(resultFileOf(outputOf(job)), JSON.stringify({ owner: ownerOf(job), files }));

test('of what lies at an output in a store, its manifest alone is brought before anything is computed', async () => {
  seal();
  write(join(outputOf(job), 'left over'), 'of an earlier copy');
  await examineOutput(job, mirror);
  expect(pulled).toContain(join(outputOf(job), 'manifest.json'));
  expect(existsSync(join(outputOf(job), 'left over'))).toBe(false);
  expect(existsSync(join(outputOf(job), 'adapter.safetensors'))).toBe(true);
  // Where the store has no artifact, none is here.
  names = [];
  await examineOutput(job, mirror);
  expect(existsSync(outputOf(job))).toBe(false);
  // A stage that only prepares another reads none either.
  const { build } = tinyManifests();
  const resource = {
    ...build,
    spec: { ...(build['spec'] as object), output: { uri: 's3://bucket/bundle' } },
  };
  job = { ...job, resource, stage: 'probe' } as unknown as StageJob;
  seal();
  names = [];
  await examineOutput(job, mirror);
  expect(peekManifest(outputOf(job))).toBeUndefined();
});

test('a file that only what lies beside an artifact calls ours is refused; by the word of the work place and its mark it may go', async () => {
  seal();
  names.push('precious');
  forge(['precious']);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "precious" beside the artifact');
  // By its name alone it is anybody's.
  await bringing(['precious']);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "precious" beside the artifact');
  writers['precious'] = 'a killed run';
  expect((await examineOutput(job, mirror)).removable).toContain('precious');
  expect(workOf(job).own.startsWith(root)).toBe(true);
  // What was said of another place does not count here.
  job = {
    ...job,
    resource: { ...job.resource, spec: { ...job.resource.spec, output: { uri: 's3://bucket/b' } } },
  } as StageJob;
  seal();
  names.push('precious');
  forge(['precious']);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "precious" beside the artifact');
});

test("an artifact is its resource's only by a word that names its digest: one of a run that was killed names what was to come", async () => {
  seal();
  const { digest } = peekManifest(outputOf(job))!;
  const say = (word: object) =>
    write(resultFileOf(outputOf(job)), JSON.stringify({ owner: ownerOf(job), ...word }));
  const others = `sha256:${'0'.repeat(64)}`;
  for (const word of [
    {},
    { files: ['manifest.json'] },
    { digests: [others] },
    { result: { artifact: { digest: others } } },
  ]) {
    say(word);
    expect(await examineOutput(job, mirror)).toMatchObject({ mayReplace: false, own: undefined });
  }
  for (const word of [{ digests: [others, digest] }, { result: { artifact: { digest } } }]) {
    say(word);
    expect(await examineOutput(job, mirror)).toMatchObject({ mayReplace: digest, own: digest });
  }
  // What is to come, and what was there before.
  await markOutput(await examineOutput(job, mirror), others);
  expect(await examineOutput(job, mirror)).toMatchObject({ mayReplace: digest });
});

test('of an artifact that hides its rows the word beside is told, whose work place it ever was, and of another where it may be one', async () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const say = (word: object) =>
    write(resultFileOf(outputOf(job)), JSON.stringify({ owner: ownerOf(job), ...word }));
  const told = async () => (await examineOutput(job, mirror)).told;
  expect(await told()).toBeUndefined();
  const result = { artifact: { digest }, training: { steps: 3 } };
  const hidden = { ...result, training: { steps: 3, privacy: { epsilon: '8' } } };
  for (const word of [{ digests: [digest, 'sha256:earlier'] }, { result: hidden }])
    for (const works of [undefined, ['of another work place']]) {
      say({ ...word, works });
      expect(await told()).toBe(digest);
    }
  for (const word of [{}, { result }, { digests: [digest], owner: { ...ownerOf(job), name: 'another' } }]) {
    say(word);
    expect(await told()).toBeUndefined();
  }
  // Of what hides no rows there may be any number.
  const { build } = tinyManifests();
  const spec = { ...(build['spec'] as object), output: { uri: 's3://bucket/adapter' } };
  job = { ...job, resource: { ...build, spec }, stage: 'assemble' } as unknown as StageJob;
  say({ digests: [digest] });
  expect(await told()).toBeUndefined();
});

test('what was being brought is ours no more when it is there', async () => {
  seal();
  names.push('precious');
  writers['precious'] = 'a killed run';
  await bringing(['precious']);
  await forgetBringing(job, mirror);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "precious" beside the artifact');
});

test('of what a killed run was bringing, what came up and what lay there before are ours, and nobody else’s file of such a name', async () => {
  names = ['weights', 'config'];
  await bringing(['weights', 'config', 'manifest.json'], [['config', '1']]);
  // Beside the artifact, too, all of them are named; the work place knows better.
  forge(['weights', 'config', 'manifest.json']);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "weights"');
  writers['weights'] = 'another run';
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "weights"');
  writers['weights'] = 'a killed run';
  expect((await examineOutput(job, mirror)).removable.sort()).toEqual(['config', 'weights']);
  await bringing(['weights', 'config', 'manifest.json'], [['config', 'an earlier one']]);
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "config"');
  // An earlier version's word has names alone: by its name a file is anybody's.
  write(
    join(workOf(job).own, 'bringing.json'),
    JSON.stringify({ output: 's3://bucket/adapter', files: names }),
  );
  await expect(examineOutput(job, mirror)).rejects.toThrow('holds "weights" and 1 more');
});

test('where no work place was kept, what a killed run brought is known by its mark and the word beside it, and may go for other files', async () => {
  names = ['weights', 'config', 'earlier'];
  const found = await examineOutput({ ...job }, {
    ...mirror,
    look: async () => new Map(),
  } as unknown as Mirror);
  await markOutput(found, `sha256:${'0'.repeat(64)}`, {
    files: names,
    writer: 'a killed run',
    earlier: ['the one before'],
  });
  writers = { weights: 'a killed run', config: 'a killed run', earlier: 'the one before' };
  expect((await examineOutput(job, mirror)).removable.sort()).toEqual(['config', 'earlier', 'weights']);
  // By its name alone it is anybody's.
  for (const theirs of [{}, { config: 'another' }]) {
    writers = { weights: 'a killed run', earlier: 'the one before', ...theirs };
    await expect(examineOutput(job, mirror)).rejects.toThrow('holds "config"');
  }
});
