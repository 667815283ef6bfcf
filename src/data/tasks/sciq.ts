// SciQ's published columns as questions with distractors and a correct answer.
import { z } from 'zod';
import { stripped } from '../../tokenizer/index.ts';
import { string, words } from '../columns.ts';
import type { Task } from './question.ts';

/** SciQ: a science question below the passage that supports it (which may be empty). */
export const sciq: Task = {
  columns: '"question", "support", "distractor1", "distractor2", "distractor3" and "correct_answer"',
  schema: z
    .object({
      question: words,
      support: string,
      distractor1: words,
      distractor2: words,
      distractor3: words,
      correct_answer: words,
    })
    .transform(({ question, support, ...answers }) => ({
      prompt: `${stripped(support, { right: false })}\nQuestion: ${question}\nAnswer:`,
      choices: [answers.distractor1, answers.distractor2, answers.distractor3, answers.correct_answer],
      answer: 3,
    })),
};
