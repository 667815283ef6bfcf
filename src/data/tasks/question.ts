// The common form of question-answering sets, and what a set declares to be read into it.
import type { z } from 'zod';

/** A row of a question-answering set as a model reads it: the prompt, then a choice after one space. */
export interface Question {
  readonly prompt: string;
  readonly choices: readonly string[];
  /** The right choice, from 0: what is trained. */
  readonly answer: number;
}

/** Published columns of a set, and how a row becomes a question. */
export interface Task {
  readonly schema: z.ZodType<Question>;
  /** The columns that it reads, for messages. */
  readonly columns: string;
}

/** Why a row of a split whose answers are kept back is of no use. */
export const withheld = 'names no answer; take a split whose answers are published';
