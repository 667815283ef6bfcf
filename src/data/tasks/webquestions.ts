// WebQuestions' published columns as open questions, without redundant answers.
import { z } from 'zod';
import { list, words } from '../columns.ts';
import type { Task } from './question.ts';

/**
 * WebQuestions: several accepted answers, of which any one will do (`exact_match`). The one that stands first is trained.
 */
export const webquestions: Task = {
  columns: '"question" and "answers"',
  schema: z
    .object({
      question: words,
      answers: list(words, 'must be a list of texts', 1, 'needs at least 1 answer'),
    })
    .transform(({ question, answers }) => {
      const choices = shortest(answers);
      return {
        prompt: `Question: ${question}\nAnswer:`,
        choices,
        answer: choices.findIndex((choice) => answers[0]!.startsWith(choice)),
      };
    }),
};

/** Without every answer that goes on where another has ended: who has said that one has said enough. */
function shortest(answers: readonly string[]): string[] {
  const kept: string[] = [];
  for (const answer of answers.toSorted(byCodeUnits))
    if (kept.length === 0 || !answer.startsWith(kept.at(-1)!)) kept.push(answer);
  return kept;
}

const byCodeUnits = (a: string, b: string) => (a < b ? -1 : Number(a > b));
