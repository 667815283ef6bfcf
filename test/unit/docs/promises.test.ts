/** What docs/security.md, docs/exchange.md and docs/signatures.md promise is held by tests that are there, or is somebody else's promise, and says whose. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const noPromise = '<!-- no promise -->';

/** Paragraphs, items of lists and rows of tables, as one line each, with whether a table hangs on it. */
function blocksOf(page: string): { text: string; leadsTable: boolean }[] {
  const text = page.replace(/^```.*?^```$/gms, '').replace(/^\[\^\w+\]: .*$/gm, '');
  return text
    .split(/\n{2,}|\n(?=- |\|)/)
    .map((block) => block.trim().replace(/\s+/g, ' '))
    .filter((block) => block !== '' && !/^#|^\|[-|\s]+\|$/.test(block))
    .map((block, i, all) => ({ text: block, leadsTable: !block.startsWith('|') && isRow(all[i + 1]) }));
}

const isRow = (block: string | undefined) => block?.startsWith('|') ?? false;

/** Blocks that neither have a mark nor are said to promise nothing; a sentence that ends in a colon speaks for its table. */
function unmarked(page: string): string[] {
  let spokenFor = false;
  let isHead = false;
  return blocksOf(page).flatMap(({ text, leadsTable }, i, blocks) => {
    const wasRow = isRow(blocks[i - 1]?.text);
    isHead = isRow(text) && !wasRow;
    if (!isRow(text)) spokenFor = leadsTable && /:(\[\^\w+\])+$/.test(text);
    const isSaid = /\[\^\w+\]/.test(text) || text.includes(noPromise);
    return isSaid || isHead || (isRow(text) && spokenFor) ? [] : [text];
  });
}

/** Words with which a sentence promises something, whatever stands before them. */
const promising = /\b(never|nothing|nobody|cannot|refused|may not|at most)\b/;

/** Sentences behind the last mark of a block that promise something all the same. */
const tails = (page: string): string[] =>
  blocksOf(page).flatMap(({ text }) => {
    const tail =
      text
        .split(/\[\^\w+\]/)
        .slice(1)
        .at(-1) ?? '';
    return promising.test(tail) && !text.includes(noPromise) ? [tail.trim()] : [];
  });

interface Note {
  readonly name: string;
  readonly text: string;
  readonly tests: readonly { file: string; titles: readonly string[] }[];
}

const notesOf = (page: string): Note[] =>
  [...page.matchAll(/^\[\^(\w+)\]: (.*)$/gm)].map(([, name = '', text = '']) => ({
    name,
    text,
    tests: [...text.matchAll(/\]\(\.\.\/(test\/[^)]+)\): ((?:"[^"]+"(?:; )?)+)/g)].map(
      ([, file = '', titles = '']) => ({
        file,
        titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title),
      }),
    ),
  }));

/** What is wrong with a page; `textOf` gives a test file's text, undefined where there is none. */
function faultsOf(page: string, textOf: (file: string) => string | undefined): string[] {
  const notes = notesOf(page);
  const body = page.replace(/^\[\^\w+\]: .*$/gm, '');
  const used = new Set([...body.matchAll(/\[\^(\w+)\]/g)].map(([, name]) => name));
  const defined = new Set(notes.map(({ name }) => name));
  return [
    ...unmarked(page).map((block) => `no mark: ${block}`),
    ...tails(page).map((text) => `no mark: ${text}`),
    ...[...used].filter((name) => !defined.has(name!)).map((name) => `no note: ${name}`),
    ...notes.filter(({ name }) => !used.has(name)).map(({ name }) => `nobody's note: ${name}`),
    ...notes
      .filter(({ text, tests }) => tests.length === 0 && !/^Promised by [\w']/.test(text))
      .map(({ name }) => `neither test nor party: ${name}`),
    ...notes.flatMap(({ name, tests }) =>
      tests.flatMap(({ file, titles }) => {
        const text = textOf(file);
        if (text === undefined) return [`${name}: there is no ${file}`];
        return titles
          .filter((title) => !hasTitle(text, title))
          .map((title) => `${name}: ${file} has no test "${title}"`);
      }),
    ),
  ];
}

/** A whole title of a test or of a group of them, in whatever quotes. */
const hasTitle = (text: string, title: string): boolean =>
  ["'", '"', '`'].some((quote) => text.includes(quote + title.replaceAll(quote, `\\${quote}`) + quote));

const fileOf = (file: string) =>
  existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : undefined;

it.each([
  ['security', 20],
  ['exchange', 20],
  ['signatures', 12],
])('docs/%s.md: every promise has its test, or says whose it is', (name, leastBlocks) => {
  const page = readFileSync(join(root, `docs/${name}.md`), 'utf8');
  expect(faultsOf(page, fileOf)).toEqual([]);
  expect(blocksOf(page).length).toBeGreaterThan(leastBlocks);
});

describe('a page', () => {
  const note = '[^a]: [a.test.ts](../test/a.test.ts): "holds %s"; "it\'s so".';
  const files: Record<string, string> = { 'test/a.test.ts': "it('holds %s', () => {}); it('it\\'s so', f)" };
  const faults = (page: string) => faultsOf(page, (file) => files[file]);

  it('with marks, tables that are spoken for, and blocks that promise nothing is right', () => {
    const table = '| a | b |\n|---|---|\n| c | d |\n| e | f |';
    expect(
      faults(
        `# T\n\nAll hold:[^a]\n\n${table}\n\n- x[^a]\n  y\n- z ${noPromise}\n\n\`\`\`\ncode\n\`\`\`\n\n${note}`,
      ),
    ).toEqual([]);
    expect(faults(`By the store.[^b]\n\n[^b]: Promised by the store.`)).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['a bullet without a mark', `- x[^a]\n- nothing goes\n\n${note}`, 'no mark: - nothing goes'],
    ['a row that nobody speaks for', `x[^a]\n\n| a |\n|---|\n| b |\n\n${note}`, 'no mark: | b |'],
    [
      'a promise behind the last mark',
      `x.[^a] Nobody may go. It is never so.\n\n${note}`,
      'no mark: Nobody may go. It is never so.',
    ],
    ['a mark without a note', `x[^a][^c]\n\n${note}`, 'no note: c'],
    ['a note that no mark leads to', `x ${noPromise}\n\n${note}`, "nobody's note: a"],
    ['a note that names nobody', 'x[^a]\n\n[^a]: It is so.', 'neither test nor party: a'],
    [
      'a file that is gone',
      `x[^a]\n\n${note.replaceAll('a.test', 'b.test')}`,
      'a: there is no test/b.test.ts',
    ],
    [
      'a part of a title',
      `x[^a]\n\n${note.replace('holds %s', 'holds')}`,
      'a: test/a.test.ts has no test "holds"',
    ],
  ])('with %s is wrong', (_, page, fault) => {
    expect(faults(page)).toEqual([fault]);
  });
});
