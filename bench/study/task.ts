// What a task of the study is: questions in four splits, the probe's as texts with their answers.
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A row of the format multipleChoice. */
export interface Question {
  readonly context: string;
  readonly question: string;
  readonly choices: readonly string[];
  readonly answer: number;
}

export const sizes = { probe: 1024, train: 1000, validation: 200, test: 400 };
export type Sizes = Readonly<Record<keyof typeof sizes, number>>;
export type Splits = Readonly<Record<keyof typeof sizes, Question[]>>;

/** What a model is shown of a question, with its answer. */
const textOf = ({ context, question, choices, answer }: Question) => ({
  text: `${context}\nQuestion: ${question}\nAnswer: ${choices[answer]}`,
});

/** Writes a file a split as JSON lines, each whole or not at all, and returns their digest. */
export function writeTask(directory: string, { probe, ...splits }: Splits): string {
  const hash = createHash('sha256');
  mkdirSync(directory, { recursive: true });
  for (const [name, rows] of Object.entries({ ...splits, probe: probe.map(textOf) })) {
    const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    const file = join(directory, `${name}.jsonl`);
    writeFileSync(`${file}.part`, lines);
    renameSync(`${file}.part`, file);
    hash.update(`${name} ${lines}`);
  }
  return `sha256:${hash.digest('hex')}`;
}
