// Deals the quickstart's training rows among four parties: node examples/rounds/build-data.ts [WORDS] [DIRECTORY]
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const parties = ['north', 'east', 'south', 'west'];

/** Writes a file of rows a party, each whole or not at all: no row is in two. */
export function dealRows(words: string, directory: string): void {
  const rows = readFileSync(join(words, 'train.jsonl'), 'utf8').trimEnd().split('\n');
  mkdirSync(directory, { recursive: true });
  for (const [i, name] of parties.entries()) {
    const own = rows.filter((_, row) => row % parties.length === i);
    const file = join(directory, `${name}.jsonl`);
    writeFileSync(`${file}.part`, own.map((row) => `${row}\n`).join(''));
    renameSync(`${file}.part`, file);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [words = '.offsite/data/words', directory = '.offsite/data/rounds'] = process.argv.slice(2);
  dealRows(words, directory);
}
