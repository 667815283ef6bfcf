/** A disk that does not answer says nothing of what is there: who asks fails, and may ask again. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isThere, onDisk, peekManifest, readKept } from '../../../src/artifact/index.ts';
import { noiseKey, refuseOtherNoise } from '../../../src/tuning/privacy/index.ts';
import { unanswered } from '../../support/faults/unanswered-disk.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'unanswered-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const schema = z.object({ a: z.number() });

/** By the file that is asked for: what is asked, and what is said where nothing is there. */
const questions: [string, (path: string) => unknown, unknown][] = [
  ['kept.json', (path) => readKept(schema, path), undefined],
  ['manifest.json', () => peekManifest(directory), undefined],
  ['config.json', (path) => onDisk.has(path), false],
];

describe.each(questions)('%s', (name, ask, nothing) => {
  const path = () => join(directory, name);

  it('that is not there, or that somebody made a circle of, is not there', () => {
    expect(ask(path())).toEqual(nothing);
    symlinkSync(name, path());
    expect(ask(path())).toEqual(nothing);
  });

  it.each(['EIO', 'ESTALE', 'EMFILE', 'ESHUTDOWN', 'EREMOTEIO', 'EACCES', 'Unknown system error -116'])(
    'of which the disk says %s fails so',
    (code) => {
      writeFileSync(path(), '{}');
      unanswered(name, code, () =>
        expect(() => ask(path())).toThrow(expect.objectContaining({ code, path: path() })),
      );
    },
  );
});

it('a key that cannot be read is neither gone nor made anew', () => {
  const key = noiseKey(directory);
  unanswered('noise-key', 'EIO', () => {
    expect(() => noiseKey(directory)).toThrow(/^EIO/);
    expect(() => refuseOtherNoise(directory, 'sha256:0', 'x')).toThrow(/^EIO/);
  });
  expect(noiseKey(directory)).toEqual(key);
});

it('a file of another shape is none', () => {
  mkdirSync(join(directory, 'a'));
  writeFileSync(join(directory, 'b'), '{"a": "b"}');
  for (const name of ['a', 'b']) expect(readKept(schema, join(directory, name))).toBeUndefined();
  expect(isThere(join(directory, 'a'))).toBe(true);
});
