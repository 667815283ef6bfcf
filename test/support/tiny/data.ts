import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Random, type RowOf } from '../../../src/data/index.ts';

const colours = ['red', 'blue', 'green', 'white', 'black', 'grey'];
const things = ['stone', 'bird', 'house', 'river', 'cloud', 'leaf', 'boat', 'fox'];

/** Rows of a format that follow from the seed: short sentences about coloured things. */
export const tinyRows = {
  text: (count: number, seed = 1): RowOf['text'][] =>
    rows(count, seed, ({ thing, colour }) => ({ text: `The ${thing} is ${colour}.` })),
  completion: (count: number, seed = 1): RowOf['completion'][] =>
    rows(count, seed, ({ thing, colour }) => ({ prompt: `The ${thing} is`, completion: ` ${colour}.` })),
  multipleChoice: (count: number, seed = 1): RowOf['multipleChoice'][] =>
    rows(count, seed, ({ thing, colour }, random) => {
      const others = colours.filter((other) => other !== colour);
      const choices = [colour, ...random.shuffle(others).slice(0, 2)];
      random.shuffle(choices);
      return { question: `Which colour has the ${thing}?`, choices, answer: choices.indexOf(colour) };
    }),
};

/** Writes rows as JSON lines. */
export function writeRows(path: string, rows: readonly unknown[]): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** probe.jsonl (text), train, validation and test.jsonl (multiple choice). */
export function writeTinyData(directory: string): void {
  writeRows(join(directory, 'probe.jsonl'), tinyRows.text(24, 1));
  writeRows(join(directory, 'train.jsonl'), tinyRows.multipleChoice(40, 2));
  writeRows(join(directory, 'validation.jsonl'), tinyRows.multipleChoice(8, 3));
  writeRows(join(directory, 'test.jsonl'), tinyRows.multipleChoice(12, 4));
}

/** A thing has always the same colour, so that there is something to learn. */
function rows<R>(
  count: number,
  seed: number,
  row: (fact: { thing: string; colour: string }, random: Random) => R,
): R[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const i = random.below(things.length);
    return row({ thing: things[i]!, colour: colours[i % colours.length]! }, random);
  });
}
