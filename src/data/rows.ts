import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { badData } from '../api/index.ts';

export type DataFormat = 'text' | 'completion' | 'multipleChoice';

export type Row =
  | { text: string }
  | { prompt: string; completion: string }
  | { question: string; choices: string[]; answer: number; context?: string | undefined };

const filled = z.string().min(1, 'must not be empty');

/** The columns of each format; other columns are left alone. */
const schemas = {
  text: z.object({ text: filled }),
  completion: z.object({ prompt: filled, completion: filled }),
  multipleChoice: z
    .object({
      question: filled,
      choices: z.array(filled).min(2, 'needs two choices or more'),
      answer: z.int().nonnegative('counts the choices from 0'),
      context: z.string().optional(),
    })
    .superRefine(({ choices, answer }, context) => {
      if (answer >= choices.length) {
        const message = `${answer} is outside the ${choices.length} choices (0 to ${choices.length - 1})`;
        context.addIssue({ code: 'custom', path: ['answer'], message });
      }
    }),
} as const satisfies Record<DataFormat, z.ZodType>;

/**
 * Reads JSON lines of one format.
 * @param limit reads only the first rows
 * @throws OffsiteError BadData naming the file, the row (counted from 1) and the column, never what stands there
 */
export function readRows(path: string, format: DataFormat, limit = Number.POSITIVE_INFINITY): Row[] {
  const rows: Row[] = [];
  let line = 0;
  for (const text of lines(path)) {
    line += 1;
    if (text.trim() === '') continue;
    if (rows.length >= limit) break;
    rows.push(parseRow(text, format, `${path}: row ${line}`));
  }
  if (rows.length === 0) throw badData(`${path}: holds no row; it takes JSON lines of format ${format}`);
  return rows;
}

function lines(path: string): string[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw badData(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).split('\n');
  } catch {
    throw badData(`${path}: is not UTF-8 text`);
  }
}

function parseRow(text: string, format: DataFormat, where: string): Row {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badData(`${where}: is not a JSON object on one line`);
  }
  const parsed = schemas[format].safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw badData(`${where}: ${issue?.path.join('.') || 'the row'}: ${issue?.message} (format ${format})`);
}
