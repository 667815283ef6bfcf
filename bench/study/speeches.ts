// The task that the study does not use: in which year a president of the United States said something.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '../../src/data/index.ts';
import { type Divided, divide } from './split.ts';
import { type Question, type Sizes, type Splits, sizes } from './task.ts';

const seed = 42;
/** Years apart that two choices are at least; what is said in a neighbouring year is much the same. */
const apart = 30;
const passagesOf = 16;
const [shortest, longest] = [150, 400];

export interface Speech {
  readonly year: number;
  readonly text: string;
}

/** @param directory the package's `data`, a JSON file a speech */
export function speechSplits(directory: string, wanted: Sizes = sizes): Splits {
  const speeches = readdirSync(directory)
    .filter((file) => file.endsWith('.json') && /^\d{4}_/.test(file))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as Speech);
  const random = new Random(seed);
  const years = [...new Set(speeches.map(({ year }) => year))];
  const rows = speeches.flatMap((speech): Divided<Question>[] =>
    passages(speech.text).map((passage) => ({
      // what one president says in a year is alike
      ...{ group: String(speech.year), kind: 'speech' },
      row: yearQuestion(passage, speech.year, years, random),
    })),
  );
  return divide(rows, wanted) as unknown as Splits;
}

/** Four years, of which each two are far apart; the answer is at any place. */
export function yearQuestion(
  passage: string,
  year: number,
  years: readonly number[],
  random: Random,
): Question {
  const choices = [year];
  while (choices.length < 4) {
    const other = years[random.below(years.length)]!;
    if (choices.every((choice) => Math.abs(choice - other) >= apart)) choices.push(other);
  }
  choices.sort((a, b) => a - b);
  return {
    context: `"${passage}"\n`,
    question: 'In which year did a president of the United States say this?',
    choices: choices.map(String),
    answer: choices.indexOf(year),
  };
}

/** Whole sentences, from all over the speech; a passage that names a year gives the answer away. */
export function passages(text: string): string[] {
  const sentences = text
    .replace(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.!?]) (?=[A-Z])/);
  const found: string[] = [];
  let passage = '';
  for (const sentence of sentences) {
    passage = passage === '' ? sentence : `${passage} ${sentence}`;
    if (passage.length < shortest) continue;
    if (passage.length <= longest && !/\b1[789]\d\d\b|\b20\d\d\b/.test(passage)) found.push(passage);
    passage = '';
  }
  const step = Math.max(1, found.length / passagesOf);
  return Array.from({ length: Math.min(passagesOf, found.length) }, (_, i) => found[Math.floor(i * step)]!);
}
