// What an adapter tells of the rows that it was made of, whose work it is nevertheless, and that its emulator was the one that was checked.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OffsiteTuneStatus } from '../../src/api/index.ts';
import { peekManifest, sealArtifact } from '../../src/artifact/index.ts';
import { failureOf, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-private-'));
const at = (...parts: string[]) => join(root, ...parts);
const adapter = at('out/adapter');
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function run(...manifests: Parameters<typeof writeManifests>[1]) {
  writeManifests(at('resources.yaml'), manifests);
  const ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}
const { build, tune } = tinyManifests();
const digestOfAdapter = () => savedStatus(at('work'), 'OffsiteTune').artifact?.digest;
/** Another one as soon as the adapter is written again. */
const writing = () => statSync(join(adapter, 'adapter.safetensors')).ino;

let shown: string;
beforeAll(async () => {
  writeTinyProject(root);
  const { stdout, stderr } = await run(build, tune);
  shown = stdout + stderr;
});

test('nobody who guesses the rows can confirm them by their sha256: it crosses in no file', () => {
  const secrets = ['train.jsonl', 'validation.jsonl'].map((name) =>
    createHash('sha256')
      .update(readFileSync(at('data', name)))
      .digest('hex'),
  );
  const crossing = readdirSync(at('out'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
  expect(crossing.length).toBeGreaterThan(5);
  for (const secret of secrets)
    for (const text of [...crossing, shown, JSON.stringify(savedStatus(at('work'), 'OffsiteTune'))])
      expect(text).not.toContain(secret);
  expect(Object.keys(peekManifest(adapter)!.manifest.madeFrom)).toEqual(['emulator']);
});

test('the same work is done once, other rows are other work, and the same rows make the same adapter', async () => {
  const [digest, written] = [digestOfAdapter(), writing()];
  await run(build, tune);
  expect([digestOfAdapter(), writing()]).toEqual([digest, written]);

  const rows = readFileSync(at('data/train.jsonl'), 'utf8');
  const lines = rows.trimEnd().split('\n');
  writeFileSync(at('data/train.jsonl'), `${[...lines.slice(1), lines[0]].join('\n')}\n`);
  await run(build, tune);
  expect(digestOfAdapter()).not.toBe(digest);
  expect(writing()).not.toBe(written);

  writeFileSync(at('data/train.jsonl'), rows);
  await run(build, tune);
  expect(digestOfAdapter()).toBe(digest);
});

test('an adapter that an earlier version made is known by its history; without it, it is made anew', async () => {
  const [digest, written] = [digestOfAdapter(), writing()];
  const own = at('work/work/offsitetune/default/tiny');
  const history = JSON.parse(readFileSync(join(own, 'history.json'), 'utf8')) as object;
  rmSync(join(own, 'made.json'));
  writeFileSync(join(own, 'history.json'), JSON.stringify({ ...history, adapter: digest }));
  await run(build, tune);
  expect([digestOfAdapter(), writing()]).toEqual([digest, written]);
  rmSync(join(own, 'history.json'));
  await run(build, tune);
  expect(digestOfAdapter()).toBe(digest);
  expect(writing()).not.toBe(written);
});

test('an adapter whose manifest names the rows is not taken for one that this resource made', async () => {
  const digest = digestOfAdapter();
  const { manifest } = peekManifest(adapter)!;
  const sha256 = (name: string) =>
    `sha256:${createHash('sha256')
      .update(readFileSync(at('data', name)))
      .digest('hex')}`;
  const rows = { data: sha256('train.jsonl'), validation: sha256('validation.jsonl') };
  const { files: _, ...description } = manifest;
  const madeFrom = { ...manifest.madeFrom, ...rows };
  sealArtifact(adapter, { ...description, madeFrom });
  rmSync(`${adapter}.result.json`);
  const ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
  expect(ended.code, ended.stderr).toBe(1);
  expect(failureOf(at('work'), 'OffsiteTune').message).toContain('that is not what this resource makes');
  const replacing = structuredClone(tune);
  setField(replacing, 'spec.output.replace', true);
  await run(build, replacing);
  expect(digestOfAdapter()).toBe(digest);
});

test('an adapter that hides its rows is made once, whatever of its spec is changed that changes nothing of them', async () => {
  const hidden = structuredClone(tune);
  setField(hidden, 'metadata.name', 'hidden');
  setField(hidden, 'spec.output.uri', 'file:out/hidden');
  setField(hidden, 'spec.privacy', { epsilon: '8' });
  setField(hidden, 'spec.training.learningRate', '1e-2');
  await run(build, hidden);
  const status = () => savedStatus(at('work'), 'OffsiteTune', 'hidden') as unknown as OffsiteTuneStatus;
  const { artifact, training, validation } = status();
  const { tokensPerSecond: _, ...found } = training!;
  const other = structuredClone(hidden);
  for (const [field, value] of Object.entries({ checkpointSteps: 3, microBatchSize: 2, evalSteps: 3 }))
    setField(other, `spec.training.${field}`, value);
  setField(other, 'spec.training.learningRate', '0.01');
  setField(other, 'spec.engine', { threads: 1, memory: '2Gi' });
  await run(build, other);
  expect(status()).toMatchObject({ artifact, training: found, validation });
  renameSync(at('out/hidden'), at('elsewhere'));
  const ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
  expect(ended.code).toBe(1);
  expect(failureOf(at('work'), 'OffsiteTune', 'hidden')).toMatchObject({
    reason: 'BadSpec',
    message: expect.stringContaining(`this very training was made and handed over as ${artifact?.digest}`),
  });
});

test('an emulator that is changed while it is trained on: no adapter, no checkpoint, and the file is named', async () => {
  const other = tinyManifests().tune;
  setField(other, 'spec.training.steps', 400);
  setField(other, 'spec.output.uri', 'file:out/other');
  setField(other, 'metadata.name', 'other');
  writeManifests(at('resources.yaml'), [build, other]);
  const weights = at('out/emulator/model.safetensors');
  let changed = false;
  const ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work'), '--json'], {
    onLine(line) {
      if (changed || !line.includes('"stage":"tune"')) return;
      changed = true;
      const bytes = readFileSync(weights);
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(weights, bytes);
    },
  });
  expect(changed).toBe(true);
  expect(ended.code, ended.stderr).toBe(1);
  expect(failureOf(at('work'), 'OffsiteTune', 'other')).toMatchObject({
    reason: 'BadModel',
    message: expect.stringContaining(`${weights}: was changed while it was read; nothing was made of it`),
  });
  expect(readdirSync(at('out'))).not.toContain('other');
});
