// The schemas of single columns, from which the formats of rows are composed.
import { z } from 'zod';
import { listOf } from '../api/index.ts';

const missingOr = (wrong: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is missing' : wrong),
});

/** The kinds of columns that formats are made of; every message says what is right and quotes nothing. */
export const string = z.string(missingOr('must be text'));
export const words = string.refine((text) => text.trim() !== '', 'is empty');
export const whole = z.int(missingOr('must be a whole number'));
export const place = whole.min(0, 'must be 0 or more');
/** More than any question has choices, or any conversation turns. */
const mostEntries = 1 << 16;
export const list = <T extends z.ZodType>(of: T, wrong: string, least = 0, few = '') =>
  listOf(
    of,
    z
      .array(z.unknown(), missingOr(wrong))
      .min(least, few)
      .max(mostEntries, `has more than ${mostEntries} entries`),
  );
export const choices = list(words, 'must be a list of texts', 2, 'needs at least 2 choices');
export const record = <T extends z.ZodRawShape>(shape: T, wrong: string) => z.object(shape, missingOr(wrong));
