// Command-line options that name directories: those that stand for claims, and for Secrets with keys.
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { badSpec, keyFiles } from '../api/index.ts';
import type { KeyPlace } from '../worker/index.ts';

/** Reads repeated `--mount CLAIM=DIR` options into a table from claim to absolute directory. */
export function parseMounts(options: readonly string[]): Record<string, string> {
  return Object.fromEntries(options.map((option) => parseDirectory(option, '--mount', 'CLAIM')));
}

/** Reads repeated `--keys SECRET=DIR` options: where a Secret's private.pem and public.pem lie. */
export function parseKeys(options: readonly string[]): KeyPlace {
  const directories = new Map(options.map((option) => parseDirectory(option, '--keys', 'SECRET')));
  return ({ kind, secret }, field) => {
    const directory = directories.get(secret);
    if (directory === undefined)
      throw badSpec(
        `${field}: add --keys ${secret}=DIR, where DIR holds ${keyFiles[kind]} of Secret ${secret}`,
      );
    return join(directory, keyFiles[kind]);
  };
}

function parseDirectory(option: string, flag: string, of: string): [name: string, directory: string] {
  const [name, written] = splitOnce(option, '=');
  if (!name || !written) throw badSpec(`${flag} ${option}: write ${flag} ${of}=DIR`);
  const directory = resolve(written);
  if (isFile(directory)) throw badSpec(`${flag} ${option}: DIR is a file; it must be a directory`);
  return [name, directory];
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // What is wrong with it is told of the field that names a place there.
    return false;
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
