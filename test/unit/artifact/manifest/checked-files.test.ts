import { execFileSync } from 'node:child_process';
import fs, {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  digestOf,
  fileDigest,
  hashFiles,
  openArtifact,
  sealArtifact,
  stopHashingWhere,
} from '../../../../src/artifact/index.ts';
import { dataDigest } from '../../../../src/data/index.ts';

let directory: string;
let weights: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-checked-'));
  weights = join(directory, 'weights');
  writeFileSync(weights, 'the weights');
  // Long ago: a clock of some milliseconds tells what comes now apart. And one that utimes can put back.
  utimesSync(weights, 1_700_000_000, 1_700_000_000);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Writes other bytes of the same length over the file, with the time that it had. */
function forge(): void {
  const { atime, mtime, ctimeMs } = statSync(weights);
  do {
    writeFileSync(weights, 'the WEIGHTS');
    utimesSync(weights, atime, mtime);
  } while (statSync(weights).ctimeMs === ctimeMs);
}
const replace = () => {
  writeFileSync(`${weights}.new`, 'the WEIGHTS');
  renameSync(`${weights}.new`, weights);
};

describe('files that were checked and are read on', () => {
  it.each<[string, () => void]>([
    ['is written to', () => writeFileSync(weights, 'the WEIGHTS')],
    ['is longer', () => writeFileSync(weights, 'the weights and more')],
    ['is another one under its name', replace],
    ['is written to, and its time put back', forge],
    ['is written to, the same again', () => writeFileSync(weights, 'the weights')],
    ['is gone', () => rmSync(weights)],
  ])('one that %s is told at the end, by its name', (_, change) => {
    const { files: checked } = hashFiles(directory);
    change();
    expect(() => checked.checkUnchanged()).toThrow(
      expect.objectContaining({
        reason: 'BadModel',
        message: `${weights}: was changed while it was read; nothing was made of it: run again`,
      }),
    );
  });

  it.each<[string, () => void]>([
    ['nothing', () => {}],
    ['a reader', () => void readFileSync(weights)],
    ['a change of rights', () => chmodSync(weights, 0o600)],
    ['a back-up by hard links', () => linkSync(weights, `${weights}.backup`)],
    [
      'a copy of the same in its place, with its time',
      () => {
        const { atime, mtime } = statSync(weights);
        rmSync(weights);
        writeFileSync(weights, 'the weights');
        utimesSync(weights, atime, mtime);
      },
    ],
    [
      'the same in its place, as who makes an artifact anew lays it there',
      () => {
        writeFileSync(`${weights}.new`, 'the weights');
        renameSync(`${weights}.new`, weights);
      },
    ],
  ])('%s changes nothing', (_, act) => {
    const { files: checked } = hashFiles(directory);
    const before = checked.open(weights);
    act();
    checked.checkUnchanged();
    const after = checked.open(weights);
    before.close();
    after.close();
    checked.checkUnchanged();
  });

  it('what took its place with the same bytes is looked at in its turn', () => {
    const { files: checked } = hashFiles(directory);
    writeFileSync(`${weights}.new`, 'the weights');
    renameSync(`${weights}.new`, weights);
    const open = checked.open(weights);
    forge();
    writeFileSync(weights, 'the weights');
    open.close();
    expect(() => checked.checkUnchanged()).toThrow(`${weights}: was changed while it was read`);
    replace();
    expect(() => checked.open(weights)).toThrow(`${weights}: was changed while it was read`);
  });

  it('an artifact tells of its own', () => {
    sealArtifact(directory, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
    const { checked } = openArtifact(directory);
    checked.checkUnchanged();
    replace();
    expect(() => checked.checkUnchanged()).toThrow('was changed while it was read');
  });
});

describe('digests', () => {
  it.each(['a\nb', 'a\u001b[2J', 'a\u202eb'])('of a directory with a file %j are refused', (name) => {
    writeFileSync(join(directory, name), '');
    expect(() => digestOf(directory)).toThrow(
      expect.objectContaining({ reason: 'BadModel', message: expect.stringContaining('cannot be printed') }),
    );
    rmSync(join(directory, name));
    writeFileSync(join(directory, `${name}.jsonl`), '{}');
    expect(() => digestOf(join(directory, `${name}.jsonl`))).toThrow('cannot be printed');
    expect(() => dataDigest(directory, 'spec.data')).toThrow(
      expect.objectContaining({ reason: 'BadData', message: expect.stringContaining('cannot be printed') }),
    );
  });

  it('two directories whose lines would be the same have not one digest', () => {
    const line = `${'0'.repeat(64)}  b.jsonl`;
    const one = join(directory, 'one');
    mkdirSync(one);
    writeFileSync(join(one, `a.jsonl\n${line}`), 'row');
    expect(() => digestOf(one)).toThrow('cannot be printed');
  });

  it('go through links to files and directories, but not around in a circle', () => {
    const model = join(directory, 'model');
    mkdirSync(join(directory, 'blobs'));
    writeFileSync(join(directory, 'blobs/b'), 'b');
    mkdirSync(model);
    writeFileSync(join(model, 'a'), 'a');
    const plain = join(directory, 'plain');
    mkdirSync(join(plain, 'sub'), { recursive: true });
    writeFileSync(join(plain, 'a'), 'a');
    writeFileSync(join(plain, 'sub/b'), 'b');
    symlinkSync(join(directory, 'blobs'), join(model, 'sub'));
    expect(digestOf(model, { parsed: (_, names) => names })).toBe(digestOf(plain));
    expect(() => digestOf(model)).toThrow(`${model}/sub/b: leads by a symbolic link to`);
    symlinkSync(model, join(model, 'sub/again'));
    expect(() => digestOf(model)).toThrow(
      `${model}/sub/again: is, by a link, a directory that is there already`,
    );
  });

  it('of directories full of links to each other end at once', () => {
    for (let i = 0; i < 20; i++) {
      mkdirSync(join(directory, `d${i}`));
      for (const name of ['a', 'b'])
        symlinkSync(join(directory, `d${i + 1}`), join(directory, `d${i}`, name));
    }
    mkdirSync(join(directory, 'd20'));
    expect(() => digestOf(join(directory, 'd0'))).toThrow('a directory that is there already');
  });

  it('of directories within each other are walked no deeper than a name has parts, though no file is in them', () => {
    const model = join(directory, 'deep');
    const deep = (levels: number) => join(model, ...new Array<string>(levels).fill('x'));
    mkdirSync(deep(31), { recursive: true });
    writeFileSync(join(model, 'config.json'), '{}');
    const digest = digestOf(model);
    mkdirSync(join(deep(31), 'y'));
    expect(digestOf(model)).toBe(digest);
    mkdirSync(join(deep(31), 'y', 'z'));
    expect(() => digestOf(model)).toThrow('directories within each other more than 32 deep');
  });

  it('of a file that is nearly all a hole are not taken: a hole of terabytes is refused at once, and one of bytes that a file system tells no blocks of is none', () => {
    truncateSync(weights, 2 ** 43);
    expect(() => hashFiles(weights)).toThrow(
      /weights: nearly all of its 8796093022208 bytes are a hole, with nothing on the disk$/,
    );
    expect(() => dataDigest(weights, 'spec.data')).toThrow('are a hole');
    writeFileSync(weights, new Uint8Array(17 << 20).fill(7));
    const digest = digestOf(weights);
    const { fstatSync } = fs;
    const look = vi
      .spyOn(fs, 'fstatSync')
      .mockImplementation(((descriptor: number, options: object) =>
        Object.assign(fstatSync(descriptor, options) as object, { blocks: 0n })) as typeof fstatSync);
    syncBuiltinESMExports();
    try {
      expect(digestOf(weights)).toBe(digest);
      expect(look).toHaveBeenCalled();
    } finally {
      look.mockRestore();
      syncBuiltinESMExports();
    }
  });

  it('end between two pieces where they are to stop, and nobody is blamed', () => {
    writeFileSync(weights, new Uint8Array(40 << 20));
    let pieces = 0;
    stopHashingWhere(() => ++pieces > 3);
    try {
      for (const look of [() => hashFiles(weights), () => dataDigest(weights, 'spec.data')]) {
        pieces = 0;
        expect(look).toThrow(expect.objectContaining({ reason: 'Cancelled' }));
        expect(pieces).toBe(4);
      }
      // What a stopped stage keeps is hashed, too.
      expect(fileDigest(weights)).toMatch(/^sha256:/);
    } finally {
      stopHashingWhere(() => false);
    }
  });

  it('of a named pipe do not wait for a writer', () => {
    execFileSync('mkfifo', [join(directory, 'pipe')]);
    expect(() => digestOf(directory)).toThrow('pipe: is no plain file');
  });
});
