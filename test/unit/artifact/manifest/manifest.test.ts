import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OffsiteError, printable } from '../../../../src/api/index.ts';
import {
  canonicalJson,
  digestOf,
  openArtifact,
  peekManifest,
  resolveUri,
  sealArtifact,
  writeWhole,
} from '../../../../src/artifact/index.ts';
import { badNames, badPairs, costOf, millionsOf } from '../../../support/hostile/index.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'artifact-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const hash = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const description = {
  kind: 'Adapter' as const,
  madeFrom: { emulator: 'sha256:1' },
  hyperparameters: { b: 1, a: [2] },
};

function reasonAndMessage(act: () => unknown): [string, string] {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    return [(error as OffsiteError).reason, (error as OffsiteError).message];
  }
  throw new Error('nothing was thrown');
}

function refusalOf(act: () => unknown): string {
  const [reason, message] = reasonAndMessage(act);
  expect(reason).toBe('BadModel');
  return message;
}

describe('canonicalJson', () => {
  test('equal values have equal texts, whatever the order of their members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).toReversed());
        expect(canonicalJson(turned)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(canonicalJson({ b: { d: 1, c: undefined }, a: [3, { z: 1, y: 2 }] })).toBe(
      '{"a":[3,{"y":2,"z":1}],"b":{"d":1}}',
    );
  });
});

describe('digestOf', () => {
  test('is the sha256 of the sorted lines that sha256sum prints; a file is a directory that holds only it', () => {
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'b.txt'), 'two');
    writeFileSync(join(directory, 'sub/a.txt'), 'one');
    const lines = [`${hash('two')}  b.txt\n`, `${hash('one')}  sub/a.txt\n`].sort();
    expect(digestOf(directory)).toBe(`sha256:${hash(lines.join(''))}`);
    expect(digestOf(join(directory, 'b.txt'))).toBe(
      `sha256:${hash(lines.find((line) => line.includes('b.txt'))!)}`,
    );
  });

  test('names what is not there, and what is empty', () => {
    expect(reasonAndMessage(() => digestOf(join(directory, 'none')))).toEqual([
      'BadModel',
      expect.stringContaining('there is no such file'),
    ]);
    expect(reasonAndMessage(() => digestOf(directory))).toEqual([
      'BadModel',
      expect.stringContaining('is empty'),
    ]);
  });
});

describe('a sealed artifact', () => {
  beforeEach(() => {
    writeFileSync(join(directory, 'b.bin'), 'bytes');
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'sub/a.txt'), '');
  });

  test('opens with the digest of its manifest, which tells no time and no place', () => {
    const sealed = sealArtifact(directory, description);
    const manifest = readFileSync(join(directory, 'manifest.json'));
    expect(sealed.digest).toBe(`sha256:${hash(manifest)}`);
    expect(JSON.parse(String(manifest))).toEqual({
      ...description,
      files: [
        { path: 'b.bin', sizeBytes: 5, sha256: hash('bytes') },
        { path: 'sub/a.txt', sizeBytes: 0, sha256: hash('') },
      ],
    });
    expect(openArtifact(directory, { kind: 'Adapter', digest: sealed.digest })).toEqual(sealed);
    expect(sealed.sizeBytes).toBe(5 + manifest.length);
  });

  test.each<[string, () => void, string]>([
    ['a changed byte', () => writeFileSync(join(directory, 'b.bin'), 'bytez'), 'b.bin: its sha256 is not'],
    [
      'a longer file',
      () => writeFileSync(join(directory, 'b.bin'), 'bytes!'),
      'b.bin: has 6 bytes, the manifest says 5',
    ],
    [
      'a file that is gone',
      () => rmSync(join(directory, 'b.bin')),
      'b.bin: is in the manifest but not there',
    ],
    ['a file more', () => writeFileSync(join(directory, 'sub/more'), ''), 'sub/more: is not in the manifest'],
    [
      'a link in place of a file',
      () => {
        rmSync(join(directory, 'b.bin'));
        symlinkSync('/etc/hostname', join(directory, 'b.bin'));
      },
      'b.bin: is no plain file',
    ],
    [
      'a manifest of half its length',
      () => {
        const path = join(directory, 'manifest.json');
        writeFileSync(path, readFileSync(path, 'utf8').slice(0, 50));
      },
      'manifest.json: is damaged',
    ],
    ['no manifest', () => rmSync(join(directory, 'manifest.json')), 'holds no manifest.json'],
  ])('is refused with %s', (_, damage, message) => {
    sealArtifact(directory, description);
    damage();
    expect(reasonAndMessage(() => openArtifact(directory))).toEqual([
      'BadModel',
      expect.stringContaining(message),
    ]);
  });

  test('is refused as another kind or under another digest', () => {
    const { digest } = sealArtifact(directory, description);
    expect(reasonAndMessage(() => openArtifact(directory, { kind: 'Model' }))[1]).toContain(
      'is an artifact of kind Adapter, expected Model',
    );
    expect(reasonAndMessage(() => openArtifact(directory, { digest: 'sha256:2' }))[1]).toContain(digest);
  });

  /** Names more files in the manifest, as somebody would who means harm. */
  function naming(...paths: readonly string[]): void {
    sealArtifact(directory, description);
    const file = join(directory, 'manifest.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8'));
    for (const path of paths) manifest.files.push({ path, sizeBytes: 0, sha256: hash('') });
    writeFileSync(file, JSON.stringify(manifest));
  }

  test.each(badNames)('cannot name $name', ({ name, problem }) => {
    naming(name);
    const message = refusalOf(() => openArtifact(directory));
    expect(message).toBe(`${join(directory, 'manifest.json')}: the name "${printable(name)}" ${problem}`);
    expect(refusalOf(() => peekManifest(directory))).toBe(message);
  });

  test.each(badPairs)('cannot name $names', ({ names, problem }) => {
    naming(...names);
    expect(refusalOf(() => openArtifact(directory))).toContain(problem);
  });

  test('cannot name itself, nor more files than there are anywhere', () => {
    naming('manifest.json');
    expect(refusalOf(() => openArtifact(directory))).toContain('the name "manifest.json" is there twice');
    naming(...Array.from({ length: 10_001 }, (_, i) => String(i)));
    expect(refusalOf(() => openArtifact(directory))).toContain('has more than 10000 files');
  });

  test('is not read through a directory that leads out of it', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'artifact-elsewhere-'));
    writeFileSync(join(elsewhere, 'secret'), '');
    naming('out/secret');
    symlinkSync(elsewhere, join(directory, 'out'));
    expect(refusalOf(() => openArtifact(directory))).toContain('out: is not in the manifest');
    rmSync(elsewhere, { recursive: true });
  });

  test.each([
    ['is longer than 16 MiB', () => ' '.repeat(16 * 2 ** 20 + 1)],
    ['is damaged', () => '['.repeat(100_000)],
    [
      'is damaged',
      () =>
        `{"kind":"Model","files":[],"madeFrom":{},"hyperparameters":{"a":${'['.repeat(5e4)}${']'.repeat(5e4)}}}`,
    ],
  ])('has no manifest that %s', (problem, text) => {
    writeFileSync(join(directory, 'manifest.json'), text());
    expect(refusalOf(() => openArtifact(directory))).toContain(`manifest.json: ${problem}`);
  });

  const manifestWith = (files: Buffer) =>
    Buffer.concat([
      Buffer.from('{"kind":"Emulator","madeFrom":{},"hyperparameters":{},"files":'),
      files,
      Buffer.from('}'),
    ]);

  test.each(['0', '{}', 'null'])('has no manifest of millions of %s', async (thing) => {
    writeFileSync(join(directory, 'manifest.json'), manifestWith(millionsOf(thing)));
    const { seconds, mebibytes } = await costOf(() =>
      expect(refusalOf(() => openArtifact(directory))).toBe(
        `${join(directory, 'manifest.json')}: is damaged: it holds more than 131072 values`,
      ),
    );
    expect(seconds).toBeLessThan(1);
    expect(mebibytes).toBeLessThan(128);
  });

  test('has no manifest of as many wrong files as its bounds let through', async () => {
    writeFileSync(join(directory, 'manifest.json'), manifestWith(Buffer.from(`[${'0,'.repeat(1e5)}0]`)));
    const { seconds } = await costOf(() =>
      expect(refusalOf(() => openArtifact(directory))).toBe(
        `${join(directory, 'manifest.json')}: is damaged`,
      ),
    );
    expect(seconds).toBeLessThan(1);
  });

  test('of another digest is refused for that, before anything is made of its manifest', () => {
    const manifest = manifestWith(millionsOf('0'));
    writeFileSync(join(directory, 'manifest.json'), manifest);
    expect(refusalOf(() => openArtifact(directory, { digest: 'sha256:2' }))).toBe(
      `${directory}: its digest is sha256:${hash(manifest)}, expected sha256:2`,
    );
  });

  test('has no manifest that is a named pipe, whose writer would be waited for', () => {
    execFileSync('mkfifo', [join(directory, 'manifest.json')]);
    expect(refusalOf(() => openArtifact(directory))).toBe(
      `${join(directory, 'manifest.json')}: is no plain file`,
    );
  });

  test('is not made of files whose names no reader would take', () => {
    writeFileSync(join(directory, 'a\nb'), '');
    expect(refusalOf(() => sealArtifact(directory, description))).toContain(
      'the name "a\\nb" has a character that cannot be printed',
    );
  });
});

test('writeWhole names the file, and leaves nothing half-written', () => {
  const path = join(directory, 'none/file');
  expect(() => writeWhole(path, 'text')).toThrow(path);
  writeWhole(join(directory, 'file'), 'text');
  expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('text');
  mkdirSync(join(directory, 'taken'));
  writeFileSync(join(directory, 'taken/x'), '');
  expect(() => writeWhole(join(directory, 'taken'), 'text')).toThrow('taken');
  expect(existsSync(join(directory, 'taken.tmp'))).toBe(false);
});

describe('resolveUri', () => {
  const mounts = { claims: { models: '/mnt/m' }, base: '/base' };
  test('file: against the manifest, pvc: in its claim', () => {
    expect(resolveUri('file:a/b', mounts, 'f')).toBe('/base/a/b');
    expect(resolveUri('file:/a/b', mounts, 'f')).toBe('/a/b');
    expect(resolveUri('file:///a/b%20c', mounts, 'f')).toBe('/a/b c');
    expect(resolveUri('pvc://models/a/b', mounts, 'f')).toBe('/mnt/m/a/b');
  });
  test.each([
    ['pvc://data/a', 'f: claim data is not mounted; with offsite run, add --mount data=DIR'],
    ['pvc://models/../etc/passwd', 'f: leaves its claim models'],
    ['pvc://models/a/../../../etc', 'f: leaves its claim models'],
    ...['file://models/a', 'file:///a%zz'].map((uri) => [
      uri,
      `f: ${uri} names no place on this machine: write file:PATH (from the manifest's directory) or file:///PATH`,
    ]),
  ])('%s is refused', (uri, message) => {
    expect(reasonAndMessage(() => resolveUri(uri, mounts, 'f'))).toEqual(['BadSpec', message]);
  });
});
