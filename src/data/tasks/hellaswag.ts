// HellaSwag's published columns as contexts with endings.
import { z } from 'zod';
import { stripped } from '../../tokenizer/index.ts';
import { choices, string, words } from '../columns.ts';
import { type Task, withheld } from './question.ts';

/** HellaSwag: how a scene goes on. Titles and marks of the pages it was taken from are cleared away. */
export const hellaswag: Task = {
  columns: '"activity_label", "ctx_a", "ctx_b", "endings" and "label"',
  schema: z
    .object({
      activity_label: words,
      ctx_a: string,
      ctx_b: string,
      endings: choices,
      label: z.union([z.string(), z.int()], {
        error: ({ input }) => (input === undefined ? 'is missing' : 'must be a whole number'),
      }),
    })
    .transform(({ activity_label, ctx_a, ctx_b, endings, label }, context) => {
      const answer = placeIn(label);
      const problem = answer === -1 ? withheld : answer in endings ? undefined : 'is the place of no ending';
      if (problem !== undefined) context.addIssue({ code: 'custom', path: ['label'], message: problem });
      return {
        prompt: cleared(`${activity_label}: ${ctx_a} ${capitalised(ctx_b)}`),
        choices: endings.map(cleared),
        answer,
      };
    }),
};

/** The place of the right ending, from 0; -1 where it is withheld. Blanks or signs are no number, whatever JavaScript reads in them. */
function placeIn(label: string | number): number {
  const text = String(label);
  if (text.trim() === '' || text === '-1') return -1;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

function cleared(text: string): string {
  const lines = stripped(text).replaceAll(' [title]', '. ').split('\n');
  return lines.map(withoutMarks).join('\n').replaceAll('  ', ' ');
}

/** A line without what stands in brackets, each from the first that opens to the first that closes: no expression, since one would look from each bracket to the line's end. */
function withoutMarks(line: string): string {
  const kept: string[] = [];
  let from = 0;
  for (;;) {
    const open = line.indexOf('[', from);
    const close = open < 0 ? -1 : line.indexOf(']', open);
    if (close < 0) break;
    kept.push(line.slice(from, open));
    from = close + 1;
  }
  return kept.join('') + line.slice(from);
}

/** The first letter upper case and all others lower case, as the published evaluations have it. */
const capitalised = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase();
