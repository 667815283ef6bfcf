// An artifact in the making where others may write as well: what was written is sealed, and nothing of theirs.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inPlace, openArtifact, seal, sha256, type Work, WrittenFiles } from '../../../src/artifact/index.ts';
import { openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';

let root: string;
let directory: string;
let files: WrittenFiles;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-written-'));
  directory = join(root, 'made');
  mkdirSync(directory);
  files = new WrittenFiles(directory);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const bytesOf = (value: number) => Uint8Array.from({ length: 16 }, () => value);
const weights = (value: number) => (path: string) =>
  writeSafetensors(path, [{ name: 'w', dtype: 'F32', shape: [4], bytes: () => bytesOf(value) }]);

it.each([1, 0])('says of tensors what lies there when they are written: %i', (value) => {
  const written = weights(value)(join(directory, 'w'));
  const bytes = readFileSync(join(directory, 'w'));
  expect(written).toEqual({ sizeBytes: bytes.length, sha256: sha256(bytes) });
});

it('reads what was written', () => {
  files.add('model.safetensors', weights(1));
  files.write('config.json', '{"é":1}');
  const read = files.read();
  expect(read.size(join(directory, 'config.json'))).toBe(8);
  const checkpoint = openCheckpoint(directory, read);
  expect([...checkpoint.readBytes('w')]).toEqual([...bytesOf(1)]);
  checkpoint.close();
  files.checkNames(['config.json', 'model.safetensors']);
});

const named = (name: string) => `${name}: was changed while the artifact was made`;

it.each([
  ['is another', () => writeFileSync(join(directory, 'config.json'), '{"a":2}'), 'config.json'],
  ['is gone', () => rmSync(join(directory, 'config.json')), 'config.json'],
])('reads nothing where a file %s', (_, change, name) => {
  files.write('config.json', '{"a":1}');
  change();
  expect(() => files.read()).toThrow(name);
});

it.each([
  [['config.json', 'late'], 'late'],
  [[], 'config.json'],
])('holds no other names: %j', (names, name) => {
  files.write('config.json', '{}');
  expect(() => files.checkNames(names)).toThrow(named(join(directory, name)));
});

it.each([
  ['a small file', () => files.write('config.json', 'ours')],
  ['tensors', () => files.add('config.json', weights(1))],
])('%s is never written through a link', (_, write) => {
  const theirs = join(root, 'theirs');
  writeFileSync(theirs, 'theirs');
  symlinkSync(theirs, join(directory, 'config.json'));
  try {
    write();
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('EEXIST');
  }
  expect(readFileSync(theirs, 'utf8')).toBe('theirs');
});

it.each([
  ['a link', (elsewhere: string) => symlinkSync(elsewhere, directory)],
  ['another', (elsewhere: string) => cpSync(elsewhere, directory, { recursive: true })],
])('nothing goes into a directory in whose place is %s', (_, put) => {
  const elsewhere = join(root, 'elsewhere');
  mkdirSync(elsewhere);
  renameSync(directory, join(root, 'away'));
  put(elsewhere);
  expect(() => files.write('config.json', 'ours')).toThrow(`${directory}: was exchanged`);
  expect(readdirSync(elsewhere)).toEqual([]);
});

const work: Work = { kind: 'Adapter', madeFrom: {}, hyperparameters: {} };
const swapped = (partial: string) => {
  rmSync(join(partial, 'adapter.safetensors'));
  weights(2)(join(partial, 'adapter.safetensors'));
};

it('has the digest of what was written, whatever was put in its place before it was sealed', async () => {
  const place = { output: join(root, 'out'), own: join(root, 'own') };
  const honest = { output: join(root, 'honest'), own: join(root, 'own of another') };
  const fill = (written: WrittenFiles) => {
    written.add('adapter.safetensors', weights(1));
    return {};
  };
  const { digest } = await seal(honest, work, { fill, checkUnchanged() {} });
  const forged = await seal(place, work, {
    checkUnchanged() {},
    fill: (written, partial) => {
      const scores = fill(written);
      swapped(partial);
      return scores;
    },
  });
  expect(forged.digest).toBe(digest);
  expect(() => openArtifact(place.output, { digest })).toThrow("its sha256 is not the manifest's");
});

it('is not made where a file of others lies beside what was written', async () => {
  const place = { output: join(root, 'out'), own: join(root, 'own'), keeper: inPlace };
  const fill = (written: WrittenFiles, partial: string) => {
    written.add('adapter.safetensors', weights(1));
    writeFileSync(join(partial, 'late.json'), '{}');
    return {};
  };
  await expect(seal(place, work, { fill, checkUnchanged() {} })).rejects.toThrow('late.json: was changed');
  expect(existsSync(place.output)).toBe(false);
});
