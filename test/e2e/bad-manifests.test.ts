// Wrong manifests and wrong usage end with exit code 2, before anything is read or written, and say what is right.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { offsite } from '../support/offsite/index.ts';
import { type Manifest, setField, tinyManifests, writeManifests } from '../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-bad-manifests-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs what lies in a directory; the lines of standard error, with the directory's own path taken out. */
async function refusal(directory: string, ...more: string[]): Promise<string[]> {
  const work = join(root, 'work');
  const { code, stderr, stdout } = await offsite(['run', '-f', directory, '--work-dir', work, ...more]);
  expect(code, stderr).toBe(2);
  expect(stdout).toBe('');
  expect(existsSync(work)).toBe(false);
  return stderr.replaceAll(`${directory}/`, '').trim().split('\n');
}

function manifests(change: (all: Record<'build' | 'tune' | 'plug', Manifest>) => void): Manifest[] {
  const all = tinyManifests();
  change(all);
  return [all.build, all.tune, all.plug];
}

test('every problem of every file, one a line', async () => {
  const directory = join(root, 'all');
  mkdirSync(directory);
  const wrong = manifests(({ build, tune, plug }) => {
    setField(build, 'spec.probe.sample', 12);
    setField(build, 'spec.layers', 3);
    setField(build, 'spec.transferLayers', { count: 4 });
    setField(build, 'spec.output.uri', 'pvc://artifacts/../../etc');
    setField(build, 'spec.startegy', 'crash');
    setField(tune, 'spec.training.steps', '12');
    setField(tune, 'spec.training.learningRate', 1e-4);
    setField(tune, 'spec.training.schedule', 'cosin');
    setField(tune, 'spec.emulator', { uri: 'file:out/emulator' });
    setField(plug, 'spec.coefficient', 'half');
    setField(plug, 'spec.model', undefined);
    setField(plug, 'metadata.name', 'Words.2');
  });
  writeManifests(join(directory, 'a.yaml'), wrong);
  writeFileSync(
    join(directory, 'b.yaml'),
    'kind: PlugOut\n---\na: *nowhere\n---\na: [1, 2\n---\na: 1\na: 2\n',
  );
  writeFileSync(
    join(directory, 'c.yaml'),
    `x: &a [${'1,'.repeat(20)}]\ny: &b [${'*a,'.repeat(20)}]\nz: [${'*b,'.repeat(20)}]\n`,
  );
  writeFileSync(join(directory, 'd.json'), '[]');
  const lines = await refusal(directory);
  for (const expected of [
    'a.yaml, document 1: EmulatorBuild tiny: spec.probe.sample: there is no such field; did you mean samples?',
    'a.yaml, document 1: EmulatorBuild tiny: spec.startegy: there is no such field; did you mean strategy?',
    'a.yaml, document 1: EmulatorBuild tiny: spec.output.uri: must not leave its claim: write the path without ".."',
    'a.yaml, document 1: EmulatorBuild tiny: spec.transferLayers: must name no more layers than spec.layers keeps (4 when it is not given)',
    'a.yaml, document 2: OffsiteTune tiny: spec.training.steps: must be a whole number, without quotes',
    'a.yaml, document 2: OffsiteTune tiny: spec.training.learningRate: must be a string: write "0.0001" in quotes',
    'a.yaml, document 2: OffsiteTune tiny: spec.training.schedule: must be one of constant, linear, cosine; did you mean cosine?',
    'a.yaml, document 2: OffsiteTune tiny: spec.emulator.digest: must be given with uri: the digest that the other party named',
    'a.yaml, document 3: PlugIn Words.2: spec.coefficient: must be a number 0 or more and at most 10, in quotes, such as "1.0"',
    'a.yaml, document 3: PlugIn Words.2: spec.model: is missing: it must be a mapping of fields',
    'a.yaml, document 3: PlugIn Words.2: metadata.name: must be lower-case letters, digits and "-", at most 40 characters, no "-" at the ends',
    'b.yaml, document 1: (no name): kind: is "PlugOut", but it must be one of EmulatorBuild, OffsiteTune, PlugIn',
  ])
    expect(lines).toContain(expected);
  for (const pattern of [
    /^b\.yaml: not valid YAML: Unresolved alias .*nowhere$/,
    /^b\.yaml: not valid YAML: .* at line \d+, column \d+/,
    /^b\.yaml: not valid YAML: Map keys must be unique at line \d+/,
    /^c\.yaml: not valid YAML: Excessive alias count/,
    /^d\.json, document 1: must be a mapping with apiVersion/,
  ])
    expect(lines).toContainEqual(expect.stringMatching(pattern));
});

test('names that stand twice, outputs in one place, references that lead nowhere', async () => {
  const directory = join(root, 'twice');
  mkdirSync(directory);
  writeManifests(
    join(directory, 'a.yaml'),
    manifests(() => {}),
  );
  writeManifests(
    join(directory, 'b.yaml'),
    manifests(({ tune }) => setField(tune, 'metadata.name', 'other')).slice(0, 2),
  );
  const lines = await refusal(directory);
  expect(lines).toEqual([
    'b.yaml: EmulatorBuild tiny: stands in a.yaml already',
    'b.yaml: OffsiteTune other: spec.output.uri: OffsiteTune tiny writes to file:out/adapter too; give each its own place',
  ]);

  const inside = join(root, 'inside');
  const whole = `file://${inside}/out/../whole`;
  writeManifests(
    join(inside, 'a.yaml'),
    manifests(({ build, plug }) => {
      setField(build, 'spec.output.uri', 'file:out/');
      setField(plug, 'spec.output.uri', whole);
    }),
  );
  const again = manifests(({ build }) => setField(build, 'spec.output.uri', 'file:whole'));
  setField(again[0]!, 'metadata.name', 'again');
  writeManifests(join(inside, 'b.yaml'), again.slice(0, 1));
  expect(await refusal(inside)).toEqual([
    'a.yaml: OffsiteTune tiny: spec.output.uri: EmulatorBuild tiny writes to file:out/, and one lies inside the other;' +
      ' give each its own place',
    'b.yaml: EmulatorBuild again: spec.output.uri: PlugIn tiny writes to file:whole too; give each its own place',
  ]);

  const [, tune] = manifests(() => {});
  writeManifests(join(root, 'alone.yaml'), [tune!]);
  expect(await refusal(join(root, 'alone.yaml'))).toEqual([
    expect.stringContaining(
      'OffsiteTune tiny: spec.emulator.ref.name: there is no EmulatorBuild "tiny" in the given files (add its manifest, or use uri and digest)',
    ),
  ]);
});

test('namespaces: one place in the work dir for a kind and name, and references stay inside', async () => {
  const directory = join(root, 'namespaces');
  mkdirSync(directory);
  const inNamespace = (namespace: string, all: Manifest[]) =>
    all.map((manifest) => ({ ...manifest, metadata: { ...manifest.metadata, namespace } }));
  const [build, tune] = manifests(() => {}) as [Manifest, Manifest];
  writeManifests(join(directory, 'a.yaml'), inNamespace('models', [build]));
  writeManifests(join(directory, 'b.yaml'), inNamespace('data', [tune]));
  expect(await refusal(directory)).toEqual([
    'b.yaml: OffsiteTune tiny: spec.emulator.ref.name: there is no EmulatorBuild "tiny" in namespace data, only in models,' +
      ' and a reference stays in its namespace (add its manifest, or use uri and digest)',
  ]);

  setField(build, 'spec.output.uri', 'file:out/other');
  writeManifests(join(directory, 'b.yaml'), inNamespace('data', [build]));
  expect(await refusal(directory)).toEqual([
    'b.yaml: EmulatorBuild tiny: has the same name as one of namespace models in a.yaml;' +
      ' rename one, or run each namespace by itself with its own --work-dir',
  ]);
});

test('wrong usage', async () => {
  const empty = join(root, 'empty');
  mkdirSync(empty);
  writeFileSync(join(root, 'file'), '');
  writeManifests(
    join(root, 'good.yaml'),
    manifests(() => {}),
  );
  expect(await refusal(join(root, 'none'))).toEqual([`-f ${root}/none: there is no such file or directory`]);
  expect(await refusal(empty)).toEqual([
    expect.stringContaining('it takes EmulatorBuild, OffsiteTune or PlugIn manifests'),
  ]);
  expect(await refusal(join(root, 'good.yaml'), '--mount', 'models')).toEqual([
    '--mount models: write --mount CLAIM=DIR',
  ]);
  expect(await refusal(join(root, 'good.yaml'), '--mount', `models=${root}/file`)).toEqual([
    `--mount models=${root}/file: DIR is a file; it must be a directory`,
  ]);
  expect(await refusal(join(root, 'good.yaml'), '--work-dir', join(root, 'file'))).toEqual([
    `--work-dir ${root}/file: a file is in its place; it must be a directory`,
  ]);
  const unknown = await offsite(['rum']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("unknown command 'rum'");
  const bare = await offsite(['run']);
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain('offsite run -f FILE_OR_DIR');
});
