import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { badSpec } from '../api/index.ts';

/** Reads repeated `--mount CLAIM=DIR` options into a table from claim to absolute directory. */
export function parseMounts(options: readonly string[]): Record<string, string> {
  const claims: Record<string, string> = {};
  for (const option of options) {
    const [claim, directory] = splitOnce(option, '=');
    if (!claim || !directory) throw badSpec(`--mount ${option}: write --mount CLAIM=DIR`);
    claims[claim] = resolve(directory);
    if (statSync(claims[claim], { throwIfNoEntry: false })?.isFile()) {
      throw badSpec(`--mount ${option}: DIR is a file; it must be a directory`);
    }
  }
  return claims;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
