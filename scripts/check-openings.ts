/** Checks that every file of src and operator opens with the comment that says its idea. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceFile } from './check-imports.ts';

/** Files that open otherwise, one line each. */
export function unopened(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ text }) => !opensWithSentence(text))
    .map(({ path }) => `${path}: opens with no sentence that says its idea`);
}

/** A comment with a word in it, on the first line or behind `#!`; what only speaks to a tool, or to the licence's reader, is none. */
function opensWithSentence(text: string): boolean {
  const opening = /^(?:#![^\n]*\n)?(?:\/\/([^\n]*)|\/\*\*([\s\S]*?)\*\/)/.exec(text);
  const words = (opening?.[1] ?? opening?.[2] ?? '').replace(/^[\s*/]+/, '');
  return /\p{L}/u.test(words) && !/^(?:@|biome-|SPDX-|<reference)/.test(words);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const paths = globSync(['src/**/*.ts', 'operator/**/*.ts'], { cwd: root }).map((path) =>
    path.replaceAll('\\', '/'),
  );
  const found = unopened(
    paths.sort().map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  );
  for (const line of found) console.error(line);
  process.exitCode = found.length > 0 ? 1 : 0;
}
