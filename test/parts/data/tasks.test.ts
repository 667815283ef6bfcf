import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataDigest, type Question, readRows, type TaskName, tokenize } from '../../../src/data/index.ts';
import { characters, tokensOf } from '../../support/unit/data/examples.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tasks');
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tasks-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function fileOf(...rows: object[]): string {
  const path = join(directory, 'rows.jsonl');
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

const read = async (task: TaskName, row: object) => (await readRows(fileOf(row), task))[0] as Question;
const problem = (task: TaskName, row: object) =>
  readRows(fileOf(row), task).then(
    () => 'the row was taken',
    (error: Error) => error.message.replace(/^.*rows\.jsonl: row 1: /, ''),
  );

const labelled = { text: ['ice', 'steam', 'sand'], label: ['A', 'B', 'C'] };
const rows = {
  openbookqa: { id: 'x', question_stem: 'Boiling water is', choices: labelled, answerKey: 'B' },
  arc: { id: 'x', question: 'What is boiling water?', choices: labelled, answerKey: 'B' },
  webquestions: { url: 'u', question: 'who wrote it?', answers: ['Ann Lee', 'Ann', 'Bo'] },
  piqa: { goal: 'dry shoes', sol1: 'use paper', sol2: 'use water', label: 0 },
  sciq: {
    question: 'What is it?',
    support: ' It is magma.',
    ...{ distractor3: 'c', distractor1: 'a', distractor2: 'b', correct_answer: 'magma' },
  },
  race: { example_id: 'x', article: 'A tale.', question: 'Who?', options: ['I', 'you'], answer: 'B' },
  hellaswag: {
    activity_label: 'Tea',
    ctx_a: '[header] How to make tea [title] Boil  water.',
    ctx_b: 'then THE man',
    endings: ['[step] He pours it.', 'he waits [a lot] long'],
    label: '1',
  },
} satisfies Record<TaskName, object>;

describe('a row in the published columns becomes', () => {
  test.each<[TaskName, Question]>([
    ['openbookqa', { prompt: 'Boiling water is', choices: labelled.text, answer: 1 }],
    ['arc', { prompt: 'Question: What is boiling water?\nAnswer:', choices: labelled.text, answer: 1 }],
    ['webquestions', { prompt: 'Question: who wrote it?\nAnswer:', choices: ['Ann', 'Bo'], answer: 0 }],
    ['piqa', { prompt: 'Question: dry shoes\nAnswer:', choices: ['use paper', 'use water'], answer: 0 }],
    [
      'sciq',
      {
        prompt: 'It is magma.\nQuestion: What is it?\nAnswer:',
        choices: ['a', 'b', 'c', 'magma'],
        answer: 3,
      },
    ],
    ['race', { prompt: 'Article: A tale.\n\nQuestion: Who?\n\nAnswer:', choices: ['I', 'you'], answer: 1 }],
    [
      'hellaswag',
      {
        prompt: 'Tea: How to make tea. Boil water. Then the man',
        choices: [' He pours it.', 'he waits long'],
        answer: 1,
      },
    ],
  ])('%s: prompt, choices and the right one', async (task, question) => {
    expect(await read(task, rows[task])).toEqual(question);
  });

  test('ARC: the choice that a label names, whatever labels there are', async () => {
    const choices = { text: ['a', 'b', 'c', 'd', 'e'], label: ['1', '2', '3', '4', '5'] };
    expect(await read('arc', { ...rows.arc, choices, answerKey: '5' })).toMatchObject({ answer: 4 });
  });

  test('WebQuestions: the answer that stands first is trained, in its shortest accepted form', async () => {
    const answers = ['the Thames', 'Thames', 'the'];
    expect(await read('webquestions', { ...rows.webquestions, answers })).toMatchObject({
      choices: ['Thames', 'the'],
      answer: 1,
    });
  });

  test('SciQ: an empty support leaves its line', async () => {
    // Python's blanks, not JavaScript's: a separator is one, a byte order mark is none.
    expect((await read('sciq', { ...rows.sciq, support: '\x1c \x85It' })).prompt).toMatch(/^It\n/);
    expect((await read('sciq', { ...rows.sciq, support: '\ufeff It' })).prompt).toMatch(/^\ufeff It\n/);
    expect((await read('hellaswag', { ...rows.hellaswag, ctx_b: 'x\x1f' })).prompt).toMatch(/ X$/);
    expect((await read('sciq', { ...rows.sciq, support: '' })).prompt).toBe(
      '\nQuestion: What is it?\nAnswer:',
    );
  });
});

test.each<[TaskName, object, string]>([
  ['openbookqa', { question_stem: undefined }, 'column "question_stem": is missing'],
  ['openbookqa', { choices: ['secret'] }, 'column "choices": must hold text and label, two lists'],
  [
    'openbookqa',
    { choices: { text: ['a', ' '], label: ['A', 'B'] } },
    'column "choices.text", choice 1: is empty',
  ],
  ['arc', { choices: { ...labelled, label: ['A'] } }, 'column "choices": must have as many labels as texts'],
  ['arc', { answerKey: 'D' }, 'column "answerKey": is none of the labels in column "choices"'],
  ['webquestions', { answers: [] }, 'column "answers": needs at least 1 answer'],
  ['webquestions', { answers: ['a', 7] }, 'column "answers", answer 1: must be text'],
  ['piqa', { label: -1 }, 'column "label": names no answer; take a split whose answers are published'],
  ['piqa', { label: 2 }, 'column "label": must be 0 or 1'],
  ['sciq', { support: undefined }, 'column "support": is missing'],
  ['race', { answer: 'C' }, 'column "answer": must be the letter of an option, the first being A'],
  ['hellaswag', { label: '' }, 'column "label": names no answer; take a split whose answers are published'],
  ...[' ', '\t'].map((label): [TaskName, object, string] => [
    'hellaswag',
    { label },
    'column "label": names no answer; take a split whose answers are published',
  ]),
  ...['2', '0x1', '1e0', '+1', '0b1', ' 1', '١'].map((label): [TaskName, object, string] => [
    'hellaswag',
    { label },
    'column "label": is the place of no ending',
  ]),
  ['hellaswag', { label: true }, 'column "label": must be a whole number'],
])('%s with %j is refused by column', async (task, change, message) => {
  expect(await problem(task, { ...rows[task], ...change })).toBe(message);
});

test('in training the right choice only, in scoring all, after one space and what ended the prompt', async () => {
  const row = { prompt: 'Ice is ', choices: ['hot', 'cöld'], answer: 1 };
  const options = { maxLength: 99, mode: 'score', file: 'rows' } as const;
  const trunk = [1, ...tokensOf('Ice is')];
  expect(await tokenize([row], 'openbookqa', characters, options)).toEqual([
    { row: 0, trunk, branches: [tokensOf('  hot'), tokensOf('  cöld')], answer: 1, bytes: [3, 5] },
  ]);
  expect(await tokenize([row], 'openbookqa', characters, { ...options, mode: 'train' })).toEqual([
    { row: 0, trunk, branches: [tokensOf('  cöld')], answer: 0, bytes: [5] },
  ]);
});

const files: [file: string, task: TaskName][] = [
  ['openbookqa', 'openbookqa'],
  ['arc_easy', 'arc'],
  ['arc_challenge', 'arc'],
  ['webquestions', 'webquestions'],
  ['piqa', 'piqa'],
  ['sciq', 'sciq'],
  ['race', 'race'],
  ['hellaswag', 'hellaswag'],
];

describe('Parquet, as the datasets library writes it', () => {
  test.each(files)('%s: the same rows as in JSON lines', async (file, task) => {
    const [lines, parquet] = ['jsonl', 'parquet'].map((ending) => join(fixtures, `${file}.${ending}`));
    const expected = await readRows(lines!, task);
    expect(expected.length).toBeGreaterThan(11);
    expect(await readRows(parquet!, task)).toEqual(expected);
    expect(await readRows(parquet!, task, { limit: 5 })).toEqual(expected.slice(0, 5));
  });

  test('a row group without rows is passed over', async () => {
    const path = join(fixtures, '../empty-row-group.parquet');
    const rows = [{ text: 'one' }, { text: 'two' }];
    expect(await readRows(path, 'text')).toEqual(rows);
    expect(await readRows(path, 'text', { limit: 1 })).toEqual(rows.slice(0, 1));
  });

  test('a damaged file, a missing column and a wrong format are named', async () => {
    const path = join(directory, 'cut.parquet');
    writeFileSync(path, readFileSync(join(fixtures, 'piqa.parquet')).subarray(0, 900));
    await expect(readRows(path, 'piqa')).rejects.toThrow(`${path}: is cut off: it does not end as`);
    await expect(readRows(join(fixtures, 'piqa.parquet'), 'sciq')).rejects.toThrow(
      'piqa.parquet: row 1: column "question": is missing',
    );
  });
});

describe('a directory', () => {
  const shard = (split: string, number: number, ending: string) =>
    `${split}-0000${number}-of-00002.${ending}`;
  function directoryOf(name: string, names: Record<string, string>): string {
    const path = join(directory, name);
    mkdirSync(path);
    for (const [to, from] of Object.entries(names)) cpSync(join(fixtures, from), join(path, to));
    return path;
  }

  test.each(['jsonl', 'parquet'])('of *.%s shards is read in order, other files left out', async (ending) => {
    const path = directoryOf(`shards-${ending}`, {
      [shard('train', 1, ending)]: `arc_challenge.${ending}`,
      [shard('train', 0, ending)]: `arc_easy.${ending}`,
      'README.md': 'arc_easy.jsonl',
    });
    const all = [
      ...(await readRows(join(fixtures, 'arc_easy.jsonl'), 'arc')),
      ...(await readRows(join(fixtures, 'arc_challenge.jsonl'), 'arc')),
    ];
    expect(await readRows(path, 'arc')).toEqual(all);
    expect(await readRows(path, 'arc', { limit: 15 })).toEqual(all.slice(0, 15));
    const digest = dataDigest(path, 'spec.data');
    rmSync(join(path, 'README.md'));
    expect(dataDigest(path, 'spec.data', digest)).toBe(digest);
    expect(() => dataDigest(path, 'spec.data', `sha256:${'0'.repeat(64)}`)).toThrow(
      'spec.data.digest: the digest',
    );
  });

  test.each([
    ['0009.parquet', '0010.parquet'],
    ['part_9.parquet', 'part_10.parquet'],
    ['a.train.9.parquet', 'a.train.10.parquet'],
    [
      'part-00000-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c000.snappy.parquet',
      'part-00001-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c000.snappy.parquet',
    ],
    [
      'part-00000-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c000.zstd.parquet',
      'part-00000-3f2b8a1c-9d4e-4b6f-8a7c-0e1d2c3b4a59-c001.zstd.parquet',
    ],
    ['train-00000-of-00002-b42a775f407cee45.parquet', 'train-00001-of-00002-0f63b1db27ce9d8e.parquet'],
  ])('of %s and %s is read by number', async (first, second) => {
    const path = directoryOf(first, { [second]: 'arc_challenge.parquet', [first]: 'arc_easy.parquet' });
    const [row] = await readRows(join(fixtures, 'arc_easy.jsonl'), 'arc', { limit: 1 });
    expect((await readRows(path, 'arc', { limit: 13 }))[0]).toEqual(row);
  });

  test.each<[string, Record<string, string>, string]>([
    [
      'no rows',
      { 'README.md': 'piqa.jsonl' },
      'is a directory without *.jsonl (also .gz or .zst) or *.parquet files',
    ],
    ['both kinds', { 'a.jsonl': 'piqa.jsonl', 'a.parquet': 'piqa.parquet' }, 'name the file that is meant'],
    [
      'two files of unlike names',
      { 'train.jsonl': 'piqa.jsonl', 'test.jsonl': 'piqa.jsonl' },
      'holds several sets of rows (test.jsonl, train.jsonl)',
    ],
    [
      'names with dots',
      { 'web.train.jsonl': 'piqa.jsonl', 'web.test.jsonl': 'piqa.jsonl' },
      'holds several sets of rows (web.test.jsonl, web.train.jsonl)',
    ],
    [
      'two languages',
      { 'a.de.parquet': 'piqa.parquet', 'a.en.parquet': 'piqa.parquet' },
      'holds several sets of rows (a.de.parquet, a.en.parquet)',
    ],
    [
      'what is left of another sharding',
      { [shard('train', 0, 'jsonl')]: 'piqa.jsonl', 'train-00000-of-00001.jsonl': 'piqa.jsonl' },
      'holds several sets of rows (train-00000-of-00001.jsonl, train-00000-of-00002.jsonl)',
    ],
    [
      'a shard of two versions',
      {
        'train-00000-of-00001-b42a775f407cee45.jsonl': 'piqa.jsonl',
        'train-00000-of-00001-0f63b1db27ce9d8e.jsonl': 'piqa.jsonl',
      },
      'holds several sets of rows (train-00000-of-00001-0f63b1db27ce9d8e.jsonl, train-00000-of-00001-b42a775f407cee45.jsonl)',
    ],
    [
      'two splits',
      { [shard('test', 0, 'jsonl')]: 'piqa.jsonl', [shard('train', 0, 'jsonl')]: 'piqa.jsonl' },
      'holds several sets of rows (test-00000-of-00002.jsonl, train-00000-of-00002.jsonl)',
    ],
  ])('with %s is refused', async (name, names, message) => {
    const path = directoryOf(name, names);
    await expect(readRows(path, 'piqa')).rejects.toThrow(message);
    expect(() => dataDigest(path, 'spec.data')).toThrow(message);
  });
});
