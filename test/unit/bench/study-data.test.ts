import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readMail } from '../../../bench/study/mails.ts';
import { spamQuestion, spamSplits } from '../../../bench/study/spam.ts';
import { passages, speechSplits, yearQuestion } from '../../../bench/study/speeches.ts';
import { divide } from '../../../bench/study/split.ts';
import { type Question, writeTask } from '../../../bench/study/task.ts';
import { Random, readRows } from '../../../src/data/index.ts';

const work = mkdtempSync(join(tmpdir(), 'offsite-study-data-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const wanted = { probe: 40, train: 32, validation: 8, test: 20 };

describe('rows are divided', () => {
  const rows = Array.from({ length: 300 }, (_, i) => ({
    ...{ group: `thread ${i % 60}`, kind: i % 3 === 0 ? 'spam' : 'ham' },
    row: { text: `mail ${i}`, group: i % 60 },
  }));
  test('as many of each kind, none twice, a group in one split, and always the same', () => {
    const splits = divide(rows, wanted);
    const groups = new Map<number, string>();
    const seen = new Set<string>();
    for (const [split, chosen] of Object.entries(splits)) {
      expect(chosen).toHaveLength(wanted[split as keyof typeof wanted]);
      expect(chosen.filter(({ group }) => group % 3 === 0)).toHaveLength(chosen.length / 2);
      for (const { text, group } of chosen) {
        expect(seen.has(text)).toBe(false);
        seen.add(text);
        // a group that a split has no more room for ends there
        expect(groups.get(group) ?? split).toBe(split);
        groups.set(group, split);
      }
    }
    expect(divide(rows.toReversed(), wanted)).toEqual(splits);
  });

  test('equal rows count once, and too few are refused', () => {
    expect(() => divide([...rows, ...rows], { probe: 400 })).toThrow('probe: 300 of 400 rows');
  });
});

describe('a mail', () => {
  test('is its subject and the beginning of its text, without addresses and links', () => {
    const source = [
      'Received: from a.example (a.example [192.0.2.1])\n\tby b.example',
      'Subject: Re: [list] Hello\n  again',
      'Content-Type: multipart/alternative;\n boundary="=_x"',
      '',
      'preamble',
      '--=_x\nContent-Type: image/gif\nContent-Transfer-Encoding: base64\n\nR0lGOD\n',
      '--=_x\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<html><style>p {}</style><p>Write=\n to me=21</p> &amp; someone@else.example, http://else.example/x',
      '--=_x--',
    ].join('\n');
    expect(readMail(source)).toEqual({
      thread: 'hello again',
      subject: 'Re: [list] Hello again',
      body: 'Write to me! & (address), (link)',
    });
  });

  test.each([
    ['base64', Buffer.from('Words of a mail').toString('base64'), 'Words of a mail'],
    ['7bit', 'Plain words', 'Plain words'],
    ['7bit', `${'word '.repeat(200)}`, `${'word '.repeat(59)}word ...`],
  ])('in %s', (encoding, body, text) => {
    expect(readMail(`Content-Transfer-Encoding: ${encoding}\n\n${body}`).body).toBe(text);
  });

  test('of nothing but a broken multipart has no text', () => {
    expect(readMail('Content-Type: multipart/mixed; boundary=a\n\nno part').body).toBe('');
    expect(readMail('').body).toBe('');
  });
});

test('the spam task: threads of both classes in rows that the product reads, the probe as texts with answers', async () => {
  for (const group of ['spam-1', 'easy-ham-1']) {
    mkdirSync(join(work, 'mails', group), { recursive: true });
    for (let i = 0; i < 60; i++)
      writeFileSync(
        join(work, 'mails', group, `${i}.json`),
        JSON.stringify({
          text: `Subject: ${group} ${i % 30}\n\n${`${group} says ${i} things. `.repeat(3)}`,
        }),
      );
  }
  const splits = spamSplits(join(work, 'mails'), wanted);
  writeTask(join(work, 'spam'), splits);
  for (const split of ['train', 'validation', 'test'] as const) {
    const rows = await readRows(join(work, 'spam', `${split}.jsonl`), 'multipleChoice');
    expect(rows).toHaveLength(wanted[split]);
    expect(rows.filter(({ answer }) => answer === 0)).toHaveLength(wanted[split] / 2);
  }
  const probe = await readRows(join(work, 'spam', 'probe.jsonl'), 'text');
  const [first] = splits.probe as [Question];
  const { question, choices } = spamQuestion({ subject: '', body: '' }, true);
  expect(probe).toHaveLength(wanted.probe);
  expect(probe[0]!.text).toBe(`${first.context}\nQuestion: ${question}\nAnswer: ${choices[first.answer]}`);
});

test('the year of a speech: passages of whole sentences without years, choices far apart', () => {
  const sentence =
    'The state of our union is as strong as it has been in any of the years that anybody here remembers. ';
  expect(passages(sentence.repeat(4))).toEqual([sentence.repeat(2).trim(), sentence.repeat(2).trim()]);
  expect(passages(`In 1862 it was so. ${sentence.repeat(2)}`)).toEqual([]);
  const years = Array.from({ length: 230 }, (_, i) => 1790 + i);
  for (let i = 0; i < 50; i++) {
    const { choices, answer } = yearQuestion('words', 1905, years, new Random(i));
    expect(choices[answer]).toBe('1905');
    expect(choices.every((choice, j) => j === 0 || Number(choice) - Number(choices[j - 1]) >= 30)).toBe(true);
  }
});

test('speeches of a year stay together', () => {
  mkdirSync(join(work, 'speeches'));
  for (let year = 1790; year < 2020; year += 10) {
    const text = Array.from(
      { length: 16 },
      (_, i) =>
        `Passage ${String.fromCharCode(65 + i)} of ${'many words '.repeat(15)} of the ${year - 1700}th speech.`,
    ).join(' ');
    writeFileSync(join(work, 'speeches', `${year}_someone_d.json`), JSON.stringify({ year, text }));
  }
  const splits = speechSplits(join(work, 'speeches'), wanted);
  const yearsOf = (split: keyof typeof splits) =>
    new Set(splits[split].map(({ choices, answer }) => choices[answer]!));
  for (const split of ['test', 'probe'] as const)
    expect([...yearsOf(split)].filter((year) => yearsOf('train').has(year))).toEqual([]);
  writeTask(join(work, 'years'), splits);
  expect(
    readFileSync(join(work, 'years', 'test.jsonl'), 'utf8')
      .trim()
      .split('\n'),
  ).toHaveLength(wanted.test);
});
