// A model that names code for transformers to run, as many are published: nothing that is made of it does.
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { peekManifest, sealArtifact, sha256 } from '../../src/artifact/index.ts';
import { tokenizerDigest } from '../../src/emulator/probe/stage.ts';
import { openModel } from '../../src/model/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { offsite } from '../support/offsite/index.ts';
import { setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
const code = '"auto_map": {"AutoModelForCausalLM": "someone/code--model.Model"}';
const withCode = (file: string) => {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('{', `{${code}, `));
};
const before = new Map<string, string>();

beforeAll(async () => {
  const { build, tune, plug } = writeTinyProject(work.path);
  writeFileSync(at('model', 'generation_config.json'), '{"temperature": 1.0}');
  for (const name of ['config.json', 'tokenizer_config.json', 'generation_config.json']) {
    before.set(name, readFileSync(at('model', name), 'utf8'));
    withCode(at('model', name));
  }
  await run('build', [build]);
  // The bundle as earlier versions made it.
  cpSync(at('out', 'emulator'), at('old'), { recursive: true });
  for (const name of ['config.json', 'tokenizer_config.json']) withCode(at('old', name));
  const { madeFrom, hyperparameters } = peekManifest(at('old'))!.manifest;
  const { digest } = sealArtifact(at('old'), { kind: 'Emulator', madeFrom, hyperparameters });
  for (const one of [tune, plug]) setField(one, 'spec.emulator', { uri: 'file:old', digest });
  setField(plug, 'spec.output', { uri: 'file:out/released', save: 'model' });
  await run('plug', [tune, plug]);
});

async function run(name: string, manifests: Parameters<typeof writeManifests>[1]): Promise<void> {
  writeManifests(at(`${name}.yaml`), manifests);
  const { code: exit, stderr } = await offsite(['run', '-f', at(`${name}.yaml`), '--work-dir', at('work')]);
  expect(exit, stderr).toBe(0);
}

const namesCode = (...parts: string[]) =>
  readdirSync(at(...parts)).filter((name) => readFileSync(at(...parts, name), 'latin1').includes('auto_map'));

test('no bundle names code, and one of an earlier version that does is trained on and plugged in', () => {
  expect(namesCode('old')).toEqual(['config.json', 'tokenizer_config.json']);
  expect(namesCode('out', 'emulator')).toEqual([]);
});

test('a build is known by the settings that the model has, as earlier versions knew it', () => {
  const model = openModel(at('model'));
  const lines = ['tokenizer.json', 'tokenizer_config.json'].map(
    (name) => `${sha256(JSON.stringify(JSON.parse(readFileSync(at('model', name), 'utf8'))))}  ${name}\n`,
  );
  expect(namesCode('model')).toContain('tokenizer_config.json');
  expect(tokenizerDigest(model)).toBe(sha256(lines.join('')));
  model.close();
});

test('no released model names code, and its numbers are as they were written', () => {
  expect(namesCode('out', 'released')).toEqual([]);
  for (const name of ['config.json', 'generation_config.json'])
    expect(readFileSync(at('out', 'released', name), 'utf8')).toBe(before.get(name)!.replace('{', '{ '));
});
