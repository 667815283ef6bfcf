// PIQA's published columns as questions with two choices.
import { z } from 'zod';
import { whole, words } from '../columns.ts';
import { type Task, withheld } from './question.ts';

/** PIQA: a goal and two ways to reach it. */
export const piqa: Task = {
  columns: '"goal", "sol1", "sol2" and "label"',
  schema: z
    .object({
      goal: words,
      sol1: words,
      sol2: words,
      label: whole.refine((label) => label >= 0, withheld).refine((label) => label <= 1, 'must be 0 or 1'),
    })
    .transform(({ goal, sol1, sol2, label }) => ({
      prompt: `Question: ${goal}\nAnswer:`,
      choices: [sol1, sol2],
      answer: label,
    })),
};
