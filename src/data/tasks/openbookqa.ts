// OpenBookQA's published columns as sentences with completions.
import { z } from 'zod';
import { words } from '../columns.ts';
import { answerOf, labelled } from './labelled.ts';
import type { Task } from './question.ts';

/** OpenBookQA: a sentence to be ended, as it stands. */
export const openbookqa: Task = {
  columns: '"question_stem", "choices" (text, label) and "answerKey"',
  schema: z.object({ question_stem: words, ...labelled }).transform((row, context) => ({
    prompt: row.question_stem,
    choices: row.choices.text,
    answer: answerOf(row, context),
  })),
};
