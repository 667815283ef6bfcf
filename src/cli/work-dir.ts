// The work dir of a run: made or known again, held by one run at a time, and never over what is not a run's.
import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../api/index.ts';
import { DiskLock, type Lock, realPlace, takeLock } from '../artifact/index.ts';
import { isRunDir, reportFileOf, resourceFileOf, runFileOf } from '../report/index.ts';
import type { LoadedResource } from './manifests.ts';

/**
 * Makes the directory where that is to be done, and keeps every other `offsite run` out: both would write the same files.
 * @throws OffsiteError BadSpec where it cannot be a directory, where a run would write over what no run wrote, or where
 *   another one is at work there
 */
export async function openWorkDir(path: string, loaded: readonly LoadedResource[]): Promise<Lock> {
  makeDirectory(path);
  refuseForeign(path, loaded);
  return await hold(path);
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw badSpec(`--work-dir ${path}: a file is in its place; it must be a directory`);
  }
}

/** A run's own note, written before all else, says that what lies there is a run's. */
function refuseForeign(path: string, loaded: readonly LoadedResource[]): void {
  const kept = loaded.map(({ resource }) => resourceFileOf(path, resource));
  const read = loaded.find(({ file }) => kept.some((other) => isSame(file, other)));
  if (read !== undefined)
    throw badSpec(
      `--work-dir ${path}: the run would write a resource's status over ${read.file}, which it reads: give the run a directory of its own`,
    );
  if (isRunDir(path)) return;
  const there = [runFileOf(path), reportFileOf(path), ...kept].filter(
    (file) => lstatSync(file, { throwIfNoEntry: false }) !== undefined,
  );
  if (there.length > 0)
    throw badSpec(
      `--work-dir ${path}: nothing says that an earlier run made ${there.join(', ')}, and this one would write over it: give the run a directory of its own, or move that away`,
    );
}

/** Whether two names are one file's, whatever links are on the way. */
function isSame(file: string, other: string): boolean {
  const [one, two] = [file, other].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return one !== undefined && one.ino === two?.ino && one.dev === two.dev;
}

const hold = (path: string): Promise<Lock> =>
  takeLock(new DiskLock(join(realPlace(path, '--work-dir'), 'run')), {
    owner: `another \`offsite run\` in --work-dir ${path}`,
    waitsFor: () => false,
    refusal: ({ processId }) =>
      badSpec(
        `--work-dir ${path}: another \`offsite run\` (process ${processId}) works there: wait for its end, or give this one its own work dir`,
      ),
    unwritable: (tries) =>
      badSpec(
        `--work-dir ${path}: its lock could not be written ${tries} times: give this run another work dir`,
      ),
    signal: new AbortController().signal,
  });
