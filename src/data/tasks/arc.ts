// ARC's published columns as questions with choices.
import { z } from 'zod';
import { words } from '../columns.ts';
import { answerOf, labelled } from './labelled.ts';
import type { Task } from './question.ts';

/** ARC, the easy and the challenge set: school science questions. */
export const arc: Task = {
  columns: '"question", "choices" (text, label) and "answerKey"',
  schema: z.object({ question: words, ...labelled }).transform((row, context) => ({
    prompt: `Question: ${row.question}\nAnswer:`,
    choices: row.choices.text,
    answer: answerOf(row, context),
  })),
};
