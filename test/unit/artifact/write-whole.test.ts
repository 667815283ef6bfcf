// Files that are written whole where others write, too: none takes another's place, and no living process's temporary goes.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeWholeAmongOthers, writeWholeOver } from '../../../src/artifact/index.ts';
import { temporaryStartOf } from '../../../src/artifact/write-whole.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-whole-'));
  file = join(directory, 'out.result.json');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const content = () => readFileSync(file, 'utf8');
const temporary = () => join(directory, `${temporaryStartOf(file)}0011223344556677`);

it('what another process writes just now stays; what a killed one left long ago is cleared', () => {
  writeFileSync(temporary(), 'of another process');
  writeWholeAmongOthers(file, 'mine');
  expect(content()).toBe('mine');
  expect(existsSync(temporary())).toBe(true);
  const earlier = Date.now() / 1000 - 3600;
  utimesSync(temporary(), earlier, earlier);
  writeWholeAmongOthers(file, 'mine again');
  expect(readdirSync(directory)).toEqual(['out.result.json']);
  expect(content()).toBe('mine again');
});

it('what a killed process left is cleared at once by who has the place for himself', () => {
  writeFileSync(temporary(), 'of a killed process');
  expect(writeWholeOver(file, 'mine', undefined)).toBe(true);
  expect(readdirSync(directory)).toEqual(['out.result.json']);
});

it.each<[string, string | undefined, () => void]>([
  ['a file where there was none', undefined, () => writeFileSync(file, 'theirs')],
  ['an empty file where there was none', undefined, () => writeFileSync(file, '')],
  ['a link that leads nowhere', undefined, () => symlinkSync('nowhere', file)],
  ['a directory', undefined, () => mkdirSync(file)],
  ['another file', 'mine', () => writeFileSync(file, 'theirs')],
  ['a longer one that begins alike', 'mine', () => writeFileSync(file, 'mine, and more')],
])('what came there stays: %s', (_, seen, come) => {
  come();
  const before = readdirSync(directory, { withFileTypes: true }).map((entry) => [entry.name, entry.isFile()]);
  expect(writeWholeOver(file, 'new', seen === undefined ? undefined : Buffer.from(seen))).toBe(false);
  expect(
    readdirSync(directory, { withFileTypes: true }).map((entry) => [entry.name, entry.isFile()]),
  ).toEqual(before);
  if (existsSync(file) && before[0]?.[1]) expect(content()).not.toBe('new');
});

it('what was seen is written over, and what is gone by now is written anew', () => {
  expect(writeWholeOver(file, 'one', undefined)).toBe(true);
  expect(writeWholeOver(file, 'two', Buffer.from('one'))).toBe(true);
  expect(content()).toBe('two');
  rmSync(file);
  expect(writeWholeOver(file, 'three', Buffer.from('two'))).toBe(true);
  expect(content()).toBe('three');
  expect(readdirSync(directory)).toEqual(['out.result.json']);
});
