// An early check of outputs, so that no computation is lost to a place that cannot be written to.
import { accessSync, constants, lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { isThere } from '../unanswered.ts';

/**
 * Makes sure, before anything is computed, that something may be made at a path: what is there of the way to it is a directory
 * that can be written to.
 * @param field names the path in errors
 * @throws OffsiteError BadSpec where a file is in the way, or the path is a mount's: what is made beside it takes its place in the end
 * @throws Error of the system, with the path, where the directory cannot be written to or the path is none that it takes
 */
export function checkWritable(path: string, field: string): void {
  const directory = nearestOf(dirname(path));
  if (!statSync(directory).isDirectory())
    throw badSpec(`${field}: ${directory} is a file; nothing can lie below it`);
  if (isMountPoint(path))
    throw badSpec(
      `${field}: ${path} is where a file system is mounted, and nothing can take its place; name a directory below it`,
    );
  try {
    // What is not there is looked up by nobody, however long its name is.
    for (const name of relative(directory, path).split(sep))
      statSync(join(directory, name), { throwIfNoEntry: false });
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw Object.assign(error as Error, { path });
  }
}

/** By the system's list of mounts, where it has one: a directory of the same file system may be mounted on another. */
function isMountPoint(path: string): boolean {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  if (!isThere(mounts)) return statSync(path).dev !== statSync(dirname(path)).dev;
  const real = realpathSync(path);
  return readFileSync(mounts, 'utf8')
    .split('\n')
    .some((line) => unescaped(line.split(' ')[4] ?? '') === real);
}

const mounts = '/proc/self/mountinfo';

/** A blank, a tab, a line feed and a backslash are written by their octal numbers there. */
const unescaped = (place: string): string =>
  place.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** The path, or what is nearest above it of what is there. */
const nearestOf = (path: string): string =>
  statSync(path, { throwIfNoEntry: false }) === undefined ? nearestOf(dirname(path)) : path;
