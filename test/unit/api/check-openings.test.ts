/** Every file of src and operator opens with the sentence that says its idea. */
import { expect, it } from 'vitest';
import { unopened } from '../../../scripts/check-openings.ts';

const said = (text: string) => unopened([{ path: 'src/x/y.ts', text }]);
const refusal = ['src/x/y.ts: opens with no sentence that says its idea'];

it.each([
  ['a line', '// Rounds halves to even.\nexport const x = 1;\n'],
  ['a doc comment', '/** Rounds halves to even. */\nexport const x = 1;\n'],
  ['a doc comment of several lines', '/**\n * Rounds halves to even,\n * as IEEE says.\n */\nexport {};\n'],
  ['a comment behind #!', '#!/usr/bin/env node\n/** The command line. */\nimport "./main.ts";\n'],
  ['a file that is nothing else', '// Types only.'],
])('takes %s', (_, text) => {
  expect(said(text)).toEqual([]);
});

it.each([
  ['an empty file', ''],
  ['an import', 'import { x } from "./x.ts";\n/** Rounds. */\nexport const y = x;\n'],
  ['an empty line first', '\n/** Rounds. */\nexport const x = 1;\n'],
  ['code behind #!', '#!/usr/bin/env node\nimport "./main.ts";\n'],
  ['a comment without a word', '/** */\nexport const x = 1;\n'],
  ['a rule of dashes', '// ------\n// Rounds.\nexport const x = 1;\n'],
  ['a comment that never ends', '/** Rounds.\nexport const x = 1;\n'],
  ['a block that is no doc comment', '/* Rounds. */\nexport const x = 1;\n'],
  ['a word to the linter', '// biome-ignore lint/style: generated\nexport const x = 1;\n'],
  ['a type reference', '/// <reference types="node" />\nexport const x = 1;\n'],
  ['a tag alone', '/** @internal */\nexport const x = 1;\n'],
])('names a file with %s', (_, text) => {
  expect(said(text)).toEqual(refusal);
});

it('names each such file, in their order', () => {
  const files = ['src/a.ts', 'src/b.ts', 'operator/c.ts'].map((path, i) => ({
    path,
    text: i === 1 ? '// An idea.\n' : 'export {};\n',
  }));
  expect(unopened(files)).toEqual([
    'src/a.ts: opens with no sentence that says its idea',
    'operator/c.ts: opens with no sentence that says its idea',
  ]);
});
