// Command-line options that several commands share: the directories that stand for claims.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { badSpec } from '../api/index.ts';

/** Reads repeated `--mount CLAIM=DIR` options into a table from claim to absolute directory. */
export function parseMounts(options: readonly string[]): Record<string, string> {
  return Object.fromEntries(options.map(parseMount));
}

function parseMount(option: string): [claim: string, directory: string] {
  const [claim, written] = splitOnce(option, '=');
  if (!claim || !written) throw badSpec(`--mount ${option}: write --mount CLAIM=DIR`);
  const directory = resolve(written);
  if (isFile(directory)) throw badSpec(`--mount ${option}: DIR is a file; it must be a directory`);
  return [claim, directory];
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
