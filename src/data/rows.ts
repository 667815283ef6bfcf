import { z } from 'zod';

/** A row's columns by format; other columns of the file are left out. */
export interface RowOf {
  text: { text: string };
  completion: { prompt: string; completion: string };
  multipleChoice: { question: string; choices: string[]; answer: number; context?: string | undefined };
}
export type Format = keyof RowOf;
export type Row = RowOf[Format];

const missingOr = (wrong: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is missing' : wrong),
});
const words = z.string(missingOr('must be text')).refine((text) => text.trim() !== '', 'is empty');
const place = z.int(missingOr('must be a whole number')).min(0, 'must be 0 or more');

const multipleChoice = z
  .object({
    question: words,
    choices: z.array(words, missingOr('must be a list of texts')).min(2, 'needs at least 2 choices'),
    answer: place,
    context: words.optional(),
  })
  .superRefine(({ answer, choices: { length } }, context) => {
    if (answer >= length)
      context.addIssue({
        code: 'custom',
        path: ['answer'],
        message: `answer ${answer} is outside the ${length} choices (0 to ${length - 1})`,
      });
  });

const schemas: { [F in Format]: z.ZodType<RowOf[F]> } = {
  text: z.object({ text: words }),
  completion: z.object({ prompt: words, completion: words }),
  multipleChoice,
};

/** The row that a JSON value holds, or what is wrong with it (column and reason, never the data itself). */
export function parseRow<F extends Format>(value: unknown, format: F): RowOf[F] | { problem: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problem: `must be a JSON object with ${columns[format]}` };
  const result = schemas[format].safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const [column, index] = path;
  const where = `column "${String(column)}"${index === undefined ? '' : `, choice ${String(index)}`}`;
  return { problem: `${where}: ${message}` };
}

const columns: Record<Format, string> = {
  text: '"text"',
  completion: '"prompt" and "completion"',
  multipleChoice: '"question", "choices" and "answer"',
};
