// Preference pairs of questions with choices: the right answer stands against the wrong one that follows it.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Question {
  readonly question: string;
  readonly choices: readonly string[];
  readonly answer: number;
}

export interface Pair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

export const pairOf = ({ question, choices, answer }: Question): Pair => ({
  prompt: `Question: ${question}\nAnswer:`,
  chosen: ` ${choices[answer]}`,
  rejected: ` ${choices[(answer + 1) % choices.length]}`,
});

/** Writes the pairs of a file's first questions, whole or not at all. */
export function writePairs(from: string, directory: string, name: string, count: number): string {
  const file = join(directory, name);
  const questions = readFileSync(from, 'utf8').trimEnd().split('\n').slice(0, count);
  const lines = questions.map((line) => `${JSON.stringify(pairOf(JSON.parse(line) as Question))}\n`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${file}.part`, lines.join(''));
  renameSync(`${file}.part`, file);
  return file;
}
