/** Places that nothing can be made at are told before anything is computed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkWritable } from '../../../../src/artifact/index.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'writable '));
});
afterEach(() => rmSync(directory, { recursive: true }));

const check = (path: string) => () => checkWritable(path, 'spec.output.uri');

it('takes what is not there yet, however deep, and a directory that is', () => {
  mkdirSync(join(directory, 'there'));
  for (const name of ['there', 'new', 'new/deep/down']) expect(check(join(directory, name))).not.toThrow();
});

it('refuses what lies below a file, and the place of a mount', () => {
  writeFileSync(join(directory, 'file'), '');
  expect(check(join(directory, 'file/below'))).toThrow(/^spec\.output\.uri: .*file is a file/);
  // Mounted wherever tests run.
  expect(check('/proc')).toThrow(
    'spec.output.uri: /proc is where a file system is mounted, and nothing can take its place; name a directory below it',
  );
});
