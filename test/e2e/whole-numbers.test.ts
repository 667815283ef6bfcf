// Gemma 2, whose caps transformers takes with a point only: its bundle has it, and one of an earlier version is not made again.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canonicalJson, peekManifest, sealArtifact } from '../../src/artifact/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, offsite, savedStatus } from '../support/offsite/index.ts';
import { type Manifest, writeFamilyProject, writeManifests, writeTinyData } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
const bundle = at('gemma2', 'out', 'emulator');
const config = () => readFileSync(join(bundle, 'config.json'), 'utf8');
let manifests: Manifest[];

beforeAll(async () => {
  writeTinyData(at('data'));
  manifests = writeFamilyProject(work.path, 'gemma2');
  await run('build', manifests.slice(0, 1));
});

async function run(name: string, resources: Manifest[]): Promise<void> {
  writeManifests(at(`${name}.yaml`), resources);
  const { code, stderr } = await offsite(['run', '-f', at(`${name}.yaml`), '--work-dir', at('work')]);
  expect(code, stderr).toBe(0);
}

test('a bundle has both caps with a point', () => {
  expect(config()).toMatch(/"attn_logit_softcapping":\d+\.0,.*"final_logit_softcapping":\d+\.0,/);
});

test('what an earlier version made, without it, is taken as it is, trained on and plugged in', async () => {
  const made = digestIn(bundle)!;
  writeFileSync(join(bundle, 'config.json'), canonicalJson(JSON.parse(config())));
  const { files: _, ...said } = peekManifest(bundle)!.manifest;
  const { digest } = sealArtifact(bundle, said);
  expect(digest).not.toBe(made);
  // Where the resource says what it has made.
  const word = at('work', 'work', 'emulatorbuild', 'default', 'gemma2', 'made.json');
  writeFileSync(word, readFileSync(word, 'utf8').replaceAll(made, digest));
  await run('all', manifests);
  expect(digestIn(bundle)).toBe(digest);
  expect(savedStatus(at('work'), 'EmulatorBuild', 'gemma2')).toMatchObject({ artifact: { digest } });
  expect(savedStatus(at('work'), 'PlugIn', 'gemma2')).toMatchObject({ phase: 'Complete' });
});
