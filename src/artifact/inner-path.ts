// Validation of relative paths from outside: none reaches the file system before it has passed here.
import { badModel, isPrintable, printable } from '../api/index.ts';

declare const checked: unique symbol;

/**
 * A file's path from the directory that holds it, with forward slashes, as it may be joined to a path of this machine. Only
 * the functions of this file make one, so that no name from outside becomes a path unchecked.
 */
export type InnerPath = string & { readonly [checked]: true };

/** A place itself, where it is one file. */
export const itself = '' as InnerPath;

/** What file systems take of one name, and stores of a key. */
const mostPartBytes = 255;
const mostPathBytes = 1024;
/** Each but the last becomes a directory; real ones have some five. */
export const mostParts = 32;

/** More than any artifact, model or set of rows has. */
export const mostFiles = 10_000;
/** Files and directories that are walked through for them. */
export const mostEntries = 10 * mostFiles;

/** Why a path cannot be one of a file below a directory; undefined where it can. */
export function problemOfPath(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.startsWith('/')) return 'is absolute';
  const parts = path.split('/');
  if (parts.includes('..')) return 'has a part ".." and leaves its directory';
  if (parts.some((part) => part === '' || part === '.')) return 'has an empty part or a part "."';
  if (path.includes('\\')) return 'has a backslash';
  if (!isPrintable(path)) return 'has a character that cannot be printed';
  if (Buffer.byteLength(path) > mostPathBytes) return `is longer than ${mostPathBytes} bytes`;
  if (parts.length > mostParts) return `has more than ${mostParts} parts`;
  if (parts.some((part) => Buffer.byteLength(part) > mostPartBytes))
    return `has a part of more than ${mostPartBytes} bytes`;
  return undefined;
}

/**
 * @param where tells what names it, for messages
 * @throws OffsiteError BadModel with the path, escaped
 */
export function innerPath(path: string, where: string): InnerPath {
  const problem = problemOfPath(path);
  if (problem !== undefined) throw refused(path, where, problem);
  return path as InnerPath;
}

/**
 * The paths of all files below one directory: each as it may be, none twice, none a directory of another's, and no more than
 * `mostFiles`.
 * @throws OffsiteError BadModel
 */
export function innerPaths(paths: readonly string[], where: string): InnerPath[] {
  checkCount(paths.length, where);
  const all = new Set<string>();
  for (const path of paths) {
    innerPath(path, where);
    if (all.has(path)) throw refused(path, where, 'is there twice');
    all.add(path);
  }
  for (const path of paths)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const directory = path.slice(0, end);
      if (all.has(directory))
        throw refused(directory, where, `is a file and, for ${printable(path)}, a directory`);
    }
  return paths as InnerPath[];
}

/** @throws OffsiteError BadModel where there are more files than any artifact, model or set of rows has */
export function checkCount(files: number, where: string): void {
  if (files > mostFiles)
    throw badModel(
      `${where}: has more than ${mostFiles} files; an artifact, a model or a set of rows has fewer`,
    );
}

const refused = (path: string, where: string, problem: string) =>
  badModel(`${where}: the name "${printable(path)}" ${problem}`);
