import { z } from 'zod';

const missingOr = (wrong: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is missing' : wrong),
});

/** The kinds of columns that formats are made of; every message says what is right and quotes nothing. */
export const string = z.string(missingOr('must be text'));
export const words = string.refine((text) => text.trim() !== '', 'is empty');
export const whole = z.int(missingOr('must be a whole number'));
export const place = whole.min(0, 'must be 0 or more');
export const list = <T extends z.ZodType>(of: T, wrong: string, least: number, few: string) =>
  z.array(of, missingOr(wrong)).min(least, few);
export const choices = list(words, 'must be a list of texts', 2, 'needs at least 2 choices');
export const record = <T extends z.ZodRawShape>(shape: T, wrong: string) => z.object(shape, missingOr(wrong));
