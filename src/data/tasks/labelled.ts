// The layout of labelled choices that several sets share, and the lookup of its answer key.
import type { z } from 'zod';
import { list, record, string, words } from '../columns.ts';

/** Choices as AI2's sets (ARC, OpenBookQA) publish them: texts and their labels side by side, and the right label. */
export const labelled = {
  choices: record(
    {
      text: list(words, 'must be a list of texts', 2, 'needs at least 2 choices'),
      label: list(string, 'must be a list of texts'),
    },
    'must hold text and label, two lists',
  ).refine(({ text, label }) => text.length === label.length, 'must have as many labels as texts'),
  answerKey: words,
};

/** Which choice the answer key names. */
export function answerOf(
  { choices, answerKey }: { choices: { label: string[] }; answerKey: string },
  context: z.RefinementCtx,
): number {
  const answer = choices.label.indexOf(answerKey.trimStart());
  if (answer < 0)
    context.addIssue({
      code: 'custom',
      path: ['answerKey'],
      message: 'is none of the labels in column "choices"',
    });
  return answer;
}
