// Content addresses: digests of JSON values, files and directories, by which artifacts and models are identified.
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { badModel } from '../../api/index.ts';
import { innerPath, innerPaths, mostEntries, mostParts } from '../inner-path.ts';
import { ownFilesOf } from '../own-files.ts';
import { signatureName } from '../signature/signature.ts';
import { CheckedFiles } from './checked-files.ts';
import { hashBytes, hashFile } from './hash-file.ts';

/** JSON with sorted keys and no white space, so that equal values have equal bytes; undefined members are left out. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** `sha256:` and 64 hexadecimal digits. */
export const sha256 = (text: string | Uint8Array): string => hashBytes(text);

/** The sha256 of a file. @throws Error of the system, with the path, when it cannot be read */
export const fileDigest = (path: string): string => hashFile(path).sha256;

/**
 * A model's digest: the sha256 of its sorted `sha256  path` lines, as `sha256sum` prints them. A single file is a directory
 * that holds only it. Names that could stand for another line are refused. The signature of a released model is none of its
 * files: who signs it anew changes no digest.
 * @throws OffsiteError BadModel when there is nothing there, or for a file's name
 */
export const digestOf = (path: string, options?: HashOptions): string => hashFiles(path, options).digest;

export interface HashOptions {
  /**
   * The names of a directory's files that are read as what they are, and nothing else passes for: they may be links to anywhere.
   * Each is hashed before the next is asked for.
   */
  readonly parsed?: (directory: string, names: readonly string[], files: CheckedFiles) => Iterable<string>;
}

/**
 * The same, with the files that it is of: what is read of them is what it says.
 * @throws OffsiteError BadModel as above, and where any other file of a directory is a link to what is not its own: who knows the
 * others could find out by the digest what it holds
 */
export function hashFiles(
  path: string,
  { parsed = () => [] }: HashOptions = {},
): { digest: string; files: CheckedFiles } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badModel(`${path}: there is no such file or directory`);
  const files = new CheckedFiles();
  const hashes = new Map<string, string>();
  if (stat.isFile()) {
    hashes.set(innerPath(basename(path), dirname(path)), files.digest(path));
  } else {
    const names = innerPaths(withoutSignature(filesIn(path, { followed: true })), path);
    const lookAt = ownFilesOf(path);
    for (const name of parsed(path, names, files)) hashes.set(name, files.digest(join(path, name)));
    for (const name of names) {
      const file = join(path, name);
      if (!hashes.has(name)) hashes.set(name, files.digest(file, lookAt(file)));
    }
  }
  if (hashes.size === 0) throw badModel(`${path}: is empty`);
  const lines = [...hashes].map(([name, digest]) => `${digest.slice('sha256:'.length)}  ${name}\n`).sort();
  return { digest: sha256(lines.join('')), files };
}

const withoutSignature = (files: readonly string[]): string[] =>
  files.filter((path) => path !== signatureName || !files.includes('manifest.json'));

/**
 * Every file below a directory, by its path from there with forward slashes, sorted. Symbolic links count as files; where they
 * are `followed`, those to directories are walked as well, and no deeper and no further than a model's directory goes.
 * @throws OffsiteError BadModel where a link leads to a directory that is there already: around in a circle, or twice
 */
export function filesIn(directory: string, { followed = false } = {}): string[] {
  const files: string[] = [];
  const walked = new Set<string>();
  let entries = 0;
  const walk = (below: string, real: string, level: number) => {
    const here = join(directory, below);
    if (walked.has(real)) throw badModel(`${here}: is, by a link, a directory that is there already`);
    walked.add(real);
    for (const entry of readdirSync(here, { withFileTypes: true })) {
      entries += 1;
      if (followed && (level > mostParts || entries > mostEntries))
        throw badModel(
          `${directory}: has directories within each other more than ${mostParts} deep, or more than ${mostEntries} files and directories`,
        );
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      const place = join(directory, path);
      if (entry.isDirectory()) walk(path, join(real, entry.name), level + 1);
      else if (followed && entry.isSymbolicLink() && isDirectory(place))
        walk(path, realpathSync.native(place), level + 1);
      else files.push(path);
    }
  };
  walk('', followed ? realpathSync.native(directory) : directory, 1);
  return files.sort();
}

const isDirectory = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
