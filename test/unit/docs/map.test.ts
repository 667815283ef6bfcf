/** docs/architecture.md leads where it says: each file and folder that it names is there, and so is each word of its glossary. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');

interface Named {
  readonly path: string;
  /** Where a path without a folder in front is to be looked for. */
  readonly heading: string;
}

/** Paths in code letters: what ends in `.ts` or `.yaml`, or in "/". */
function pathsIn(text: string): Named[] {
  let heading = '';
  return text.split('\n').flatMap((line) => {
    const [, level, folder] = /^(##+) (?:.*`((?:src|operator)(?:\/[a-z]+)*)\/?`)?/.exec(line) ?? [];
    if (level !== undefined) heading = folder ?? '';
    return [...line.matchAll(/`([\w./-]+(?:\.ts|\.py|\.yaml|\/))`/g)].map(([, path = '']) => ({
      path,
      heading,
    }));
  });
}

/** Below the root, or in the heading's folder. */
function isThere({ path, heading }: Named, has: (path: string) => boolean): boolean {
  return has(path) || (heading !== '' && has(`${heading}/${path}`));
}

const onDisk = (path: string) => existsSync(join(root, path));

/** Rows of the glossary: the words in code letters that open a row, and the file behind it. */
const glossary = [...page.matchAll(/^\| `(\w+)` \|.*\| `([\w./-]+)` \|$/gm)].map(
  ([, word = '', file = '']) => [word, file] as const,
);

const declares = (text: string, word: string) =>
  new RegExp(`^(?:export )?(?:abstract )?(?:interface|type|class|const|function) ${word}\\b`, 'm').test(text);

describe('the map', () => {
  it('names files and folders that are there', () => {
    const named = pathsIn(page);
    expect(named.length).toBeGreaterThan(100);
    expect(named.filter((one) => !isThere(one, onDisk))).toEqual([]);
  });

  it.each(glossary)('has %s in %s', (word, file) => {
    expect(declares(readFileSync(join(root, file), 'utf8'), word)).toBe(true);
  });

  it.each(['src', 'operator'])('has a heading for each folder of %s', (top) => {
    const folders = readdirSync(join(root, top), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    for (const { name } of folders) expect(page).toContain(`\n### \`${top}/${name}\`\n`);
  });
});

it('a path is looked for in the folder of its heading', () => {
  const text = '## The folders of `src/`\n### `src/api`\n`a.ts` and `kinds/`\n## Others\n`a.ts` `docs/x.md`';
  const has = (path: string) => ['src/', 'src/api/a.ts', 'src/api/kinds/'].includes(path);
  expect(pathsIn(text).filter((one) => !isThere(one, has))).toEqual([{ path: 'a.ts', heading: '' }]);
});
