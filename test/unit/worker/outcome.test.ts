import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RandomAccessFile } from '../../../src/checkpoint/file.ts';
import { failureOf } from '../../../src/worker/index.ts';

const place = mkdtempSync(join(tmpdir(), 'offsite-outcome-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

const systemError = (code: string, syscall = 'open') =>
  Object.assign(new Error(`${code}: words of the system, ${syscall} '/a/b'`), {
    code,
    syscall,
    path: '/a/b',
  });

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('it went well');
}

describe('an error of the system', () => {
  it.each([
    ['ENAMETOOLONG', 'BadSpec', 10],
    ['ENOTDIR', 'BadSpec', 10],
    ['ELOOP', 'BadSpec', 10],
    ['EISDIR', 'BadSpec', 10],
    ['EROFS', 'AccessDenied', 10],
    ['EACCES', 'AccessDenied', 10],
    ['EPERM', 'AccessDenied', 10],
    ['EMFILE', 'EngineUnavailable', 14],
    ['ENOSPC', 'NoSpace', 1],
    ['EDQUOT', 'NoSpace', 1],
    ['EFBIG', 'NoSpace', 1],
    ['EBUSY', 'StoreUnavailable', 1],
    ['EIO', 'StoreUnavailable', 1],
    ['ESTALE', 'StoreUnavailable', 1],
    // As Node tells ESTALE and EDQUOT.
    ['Unknown system error -116', 'StoreUnavailable', 1],
    ['Unknown system error -122', 'NoSpace', 1],
    ['ENFILE', 'InternalError', 1],
    ['ENOMEM', 'InternalError', 1],
  ])('%s is %s and exit code %i, with its own words and the file', (code, reason, exitCode) => {
    const failure = failureOf(systemError(code));
    expect(failure).toMatchObject({ reason, exitCode, path: '/a/b' });
    expect(failure.message).toMatch(new RegExp(`^[a-z, ]+: ${code}: words of the system, open '/a/b'`));
  });

  it.each([
    ['Device or resource busy', 'StoreUnavailable', 1],
    ['Stale file handle', 'StoreUnavailable', 1],
    ['Read-only file system', 'AccessDenied', 10],
    ['Disk quota exceeded', 'NoSpace', 1],
  ])('that rmSync tells in words alone (%s) is %s', (words, reason, exitCode) => {
    const error = { code: '', errno: -4094, syscall: 'rm', path: '/a/b' };
    const thrown = Object.assign(new Error(`, Unknown error: ${words} '/a/b'`), error);
    expect(failureOf(thrown)).toMatchObject({ reason, exitCode, path: '/a/b' });
  });

  it('of a connection, or one that nobody knows, is tried again', () => {
    for (const error of [systemError('EACCES', 'connect'), systemError('EWHATEVER')])
      expect(failureOf(error)).toEqual({
        reason: 'InternalError',
        exitCode: 1,
        message: (error as Error).message,
      });
    expect(failureOf('thrown')).toEqual({ reason: 'InternalError', exitCode: 1, message: 'thrown' });
  });

  it('that a library tells in words is a full disk, or too few files', () => {
    expect(failureOf(new Error('Cannot read a: too many open files.'))).toMatchObject({ exitCode: 14 });
    expect(failureOf(new Error('write: No space left on device'))).toMatchObject({ reason: 'NoSpace' });
  });

  it.each<[string, () => unknown, string]>([
    ['a path below a file', () => readFileSync(join(place, 'file/x')), 'BadSpec'],
    ['a long name', () => statSync(join(place, 'x'.repeat(300))), 'BadSpec'],
    ['a path of 5,000 characters', () => statSync('/x'.repeat(2500)), 'BadSpec'],
    ['links in a circle', () => statSync(join(place, 'circle')), 'BadSpec'],
    ['a directory that is read', () => readFileSync(place), 'BadSpec'],
  ])('is known as the system really makes it: %s', (_, action, reason) => {
    writeFileSync(join(place, 'file'), '');
    rmSync(join(place, 'circle'), { force: true });
    symlinkSync('circle', join(place, 'circle'));
    expect(failureOf(thrownBy(action))).toMatchObject({ reason, exitCode: 10 });
  });

  it('is no fault of a model: what cannot be opened keeps its code, what leads nowhere is BadModel', () => {
    mkdirSync(join(place, 'model'));
    symlinkSync('weights', join(place, 'model/weights'));
    symlinkSync('nowhere', join(place, 'model/dangling'));
    const open = (name: string) => thrownBy(() => new RandomAccessFile(join(place, 'model', name)));
    expect(failureOf(open('weights'))).toMatchObject({
      reason: 'BadSpec',
      path: join(place, 'model/weights'),
    });
    expect(failureOf(open('dangling'))).toMatchObject({ reason: 'BadModel' });
  });
});
