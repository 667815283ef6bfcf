import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { writeData } from '../../../examples/quickstart/build-data.ts';
import { dealRows } from '../../../examples/rounds/build-data.ts';
import { parseResource } from '../../../src/api/index.ts';
import { readRows } from '../../../src/data/index.ts';

const examples = join(import.meta.dirname, '../../../examples');
const names = ['probe.jsonl', 'test.jsonl', 'train.jsonl', 'validation.jsonl'];
let directory: string;
let digests: string[];
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'words-'));
  digests = ['a', 'b'].map((run) => writeData(join(directory, run)));
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true }));

const questions = (name: string) => readRows(join(directory, 'a', name), 'multipleChoice');

describe('the quickstart data', () => {
  test('are the same at each run, and no half-written file stays', () => {
    const hash = (run: string, name: string) =>
      createHash('sha256')
        .update(readFileSync(join(directory, run, name)))
        .digest('hex');
    expect(readdirSync(join(directory, 'a')).sort()).toEqual(names);
    expect(digests[0]).toBe(digests[1]);
    for (const name of names) expect(hash('a', name)).toBe(hash('b', name));
  });

  test('have as many rows as the docs say', async () => {
    expect(await questions('train.jsonl')).toHaveLength(2000);
    expect(await questions('validation.jsonl')).toHaveLength(200);
    expect(await questions('test.jsonl')).toHaveLength(500);
    expect(await readRows(join(directory, 'a', 'probe.jsonl'), 'text')).toHaveLength(1024);
  });

  test('share no word between splits', async () => {
    const seen = new Map<string, string>();
    const shared: string[] = [];
    const claim = (word: string, split: string) => {
      if ((seen.get(word) ?? split) !== split) shared.push(word);
      seen.set(word, split);
    };
    for (const name of names.slice(1))
      for (const { choices } of await questions(name)) for (const choice of choices) claim(choice, name);
    for (const { text } of await readRows(join(directory, 'a', 'probe.jsonl'), 'text'))
      claim(text.split('\nAnswer: ')[1]!, 'probe.jsonl');
    expect(shared).toEqual([]);
  });

  test('are dealt among four parties, each row to one of them', () => {
    const rounds = join(directory, 'rounds');
    dealRows(join(directory, 'a'), rounds);
    const dealt = readdirSync(rounds).map((file) =>
      readFileSync(join(rounds, file), 'utf8').trimEnd().split('\n'),
    );
    expect(dealt.map(({ length }) => length)).toEqual([500, 500, 500, 500]);
    const all = readFileSync(join(directory, 'a', 'train.jsonl'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(dealt.flat().sort()).toEqual(all.sort());
  });

  test('have four different choices, every place of the answer, and no definition with its word in it', async () => {
    const places = [0, 0, 0, 0];
    for (const { question, choices, answer } of await questions('train.jsonl')) {
      expect(new Set(choices).size).toBe(4);
      expect(question.replace('Which word means ', '')).not.toContain(choices[answer]);
      places[answer]!++;
    }
    for (const count of places) expect(count).toBeGreaterThan(400);
  });
});

const round = [...Array(4).fill('OffsiteTune'), 'PlugIn'];
test.each([
  ['quickstart', ['EmulatorBuild', 'OffsiteTune', 'PlugIn']],
  ['crash', ['EmulatorBuild', 'OffsiteTune', 'PlugIn']],
  ['rounds', ['EmulatorBuild', ...round, ...round, ...round]],
])('every manifest of examples/%s is a valid resource', (name, expected) => {
  const folder = join(examples, name);
  const kinds = readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), 'utf8')))
    .map((document) => parseResource(document.toJS(), name).kind);
  expect(kinds).toEqual(expected);
});
