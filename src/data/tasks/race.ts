// RACE's published columns as reading comprehension with choices.
import { z } from 'zod';
import { choices, words } from '../columns.ts';
import type { Task } from './question.ts';

/** RACE: a question about an article, its answer a letter. */
export const race: Task = {
  columns: '"article", "question", "options" and "answer"',
  schema: z
    .object({ article: words, question: words, options: choices, answer: words })
    .transform(({ article, question, options, answer: letter }, context) => {
      const answer = letter.length === 1 ? letter.charCodeAt(0) - 'A'.charCodeAt(0) : -1;
      if (answer < 0 || answer >= options.length)
        context.addIssue({
          code: 'custom',
          path: ['answer'],
          message: 'must be the letter of an option, the first being A',
        });
      return { prompt: `Article: ${article}\n\nQuestion: ${question}\n\nAnswer:`, choices: options, answer };
    }),
};
