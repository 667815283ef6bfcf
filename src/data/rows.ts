// The formats of rows: which columns each has, and when a row is valid.
import { z } from 'zod';
import { choices, list, place, record, words } from './columns.ts';
import { type Question, type TaskName, tasks } from './tasks/index.ts';

/** One turn of a conversation. */
export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** A row by format; other columns of the file are left out. */
export interface RowOf extends Record<TaskName, Question> {
  text: { text: string };
  completion: { prompt: string; completion: string };
  chat: { messages: Message[] };
  multipleChoice: { question: string; choices: string[]; answer: number; context?: string | undefined };
  preference: { prompt: string; chosen: string; rejected: string };
}
export type Format = keyof RowOf;
export type Row = RowOf[Format];

const multipleChoice = z
  .object({ question: words, choices, answer: place, context: words.optional() })
  .superRefine(({ answer, choices: { length } }, context) => {
    if (answer >= length)
      context.addIssue({
        code: 'custom',
        path: ['answer'],
        message: `answer ${answer} is outside the ${length} choices (0 to ${length - 1})`,
      });
  });

const preference = z
  .object({ prompt: words, chosen: words, rejected: words })
  .superRefine(({ chosen, rejected }, context) => {
    if (chosen === rejected)
      context.addIssue({
        code: 'custom',
        path: ['rejected'],
        message: 'is the same as column "chosen"; a pair has two answers',
      });
  });

const message = record(
  { role: z.enum(['system', 'user', 'assistant'], 'must be system, user or assistant'), content: words },
  'must hold role and content',
);
const chat = z.object({
  messages: list(message, 'must be a list of messages', 2, 'needs at least 2 messages').refine(
    (messages) => messages.some(({ role }) => role === 'assistant'),
    'needs at least one message of the assistant: its words are what is predicted',
  ),
});

/** What a row of a format must be, and the columns for the message where it is no object. */
const formats: { [F in Format]: { schema: z.ZodType<RowOf[F]>; columns: string } } = {
  text: { schema: z.object({ text: words }), columns: '"text"' },
  completion: {
    schema: z.object({ prompt: words, completion: words }),
    columns: '"prompt" and "completion"',
  },
  chat: { schema: chat, columns: '"messages"' },
  multipleChoice: { schema: multipleChoice, columns: '"question", "choices" and "answer"' },
  preference: { schema: preference, columns: '"prompt", "chosen" and "rejected"' },
  ...tasks,
};

/** The row that a JSON value holds, or what is wrong with it (column and reason, never the data itself). */
export function parseRow<F extends Format>(value: unknown, format: F): RowOf[F] | { problem: string } {
  const { schema, columns } = formats[format];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problem: `must be a JSON object with ${columns}` };
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  return { problem: `${placeOf(path, format)}: ${message}` };
}

/** `column "choices.text", choice 2`, counted from 0 as answers are. */
function placeOf(path: readonly PropertyKey[], format: Format): string {
  const index = path.findIndex((part) => typeof part === 'number');
  const [names, rest] = index < 0 ? [path, []] : [path.slice(0, index), path.slice(index)];
  const item = { chat: 'message', webquestions: 'answer' }[format as string] ?? 'choice';
  const where = rest.map((part) => (typeof part === 'number' ? `, ${item} ${part}` : `, ${String(part)}`));
  return `column "${names.join('.')}"${where.join('')}`;
}
