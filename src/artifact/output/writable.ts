// An early check of outputs, so that no computation is lost to a place that cannot be written to.
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { badSpec } from '../../api/index.ts';

/**
 * Makes sure, before anything is computed, that something may be made at a path: what is there of the way to it is a directory
 * that can be written to.
 * @param field names the path in errors
 * @throws OffsiteError BadSpec where a file is in the way
 * @throws Error of the system, with the path, where the directory cannot be written to or the path is none that it takes
 */
export function checkWritable(path: string, field: string): void {
  const directory = nearestOf(dirname(path));
  if (!statSync(directory).isDirectory())
    throw badSpec(`${field}: ${directory} is a file; nothing can lie below it`);
  try {
    // What is not there is looked up by nobody, however long its name is.
    for (const name of relative(directory, path).split(sep))
      statSync(join(directory, name), { throwIfNoEntry: false });
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw Object.assign(error as Error, { path });
  }
}

/** The path, or what is nearest above it of what is there. */
const nearestOf = (path: string): string =>
  statSync(path, { throwIfNoEntry: false }) === undefined ? nearestOf(dirname(path)) : path;
