// The loss history of a training, which outlives its checkpoints.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { badModel, listOf } from '../api/index.ts';
import { isThere, readKept, readKeptJson, writeWhole } from '../artifact/index.ts';
import type { TrainingRecord } from '../training/index.ts';

/** What is no finite number JSON writes as null: the error of a single row, the loss of a step without rows, of rows that are hidden and have no score. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const historySchema = z.object({
  losses: listOf(number),
  evaluations: listOf(
    z.object({
      step: z.int().nonnegative(),
      loss: number,
      cell: z.object({ value: number, stderr: number }),
    }),
  ),
  bestStep: z.int().nonnegative(),
});
const finishedSchema = historySchema.extend({
  identity: z.string(),
  /** The digest of the adapter: of one of several that a training may come to, and in the words of versions that said it nowhere else. */
  adapter: z.string().optional(),
  tokens: z.int().nonnegative(),
  resumes: z.int().nonnegative(),
  rows: z
    .object({
      taken: z.int().nonnegative(),
      clipped: z.int().nonnegative(),
      notFinite: z.int().positive().optional(),
    })
    .optional(),
});

/** The training loss of each step and what each evaluation found: the data owner's, so it lies where the work does and does not travel. */
export type LossHistory = z.output<typeof historySchema>;

/** The losses of the steps that had rows: one that hides its rows may have had none. */
export const lossesOfRows = (losses: readonly number[]): number[] =>
  losses.filter((loss) => !Number.isNaN(loss));

/** @param work the resource's own directory */
export const historyOf = (work: string): string => join(work, 'history.json');

/**
 * Writes down the record of finished work: what is left of it when its checkpoints are cleared away.
 * @param name the work's, with the digests of the private rows in it, and where it may come to several adapters, whose it is
 */
export function writeHistory(
  file: string,
  name: { identity: string; adapter?: string },
  record: TrainingRecord,
): void {
  const { losses, evaluations, bestStep, tokens, resumes, rows } = record;
  mkdirSync(dirname(file), { recursive: true });
  writeWhole(file, JSON.stringify({ ...name, losses, evaluations, bestStep, tokens, resumes, rows }));
}

/** The digest of the adapter that this very work came to, where an earlier version did it. */
export function madeEarlier(file: string, identity: string): string | undefined {
  const found = readKept(finishedSchema, file);
  return found?.identity === identity ? found.adapter : undefined;
}

/** Fills `record` with that of finished work; false where there is none of this very work, by none of its names, or of another adapter. */
export function restoreRecord(
  file: string,
  { names, adapter }: { names: readonly string[]; adapter: string },
  record: TrainingRecord,
): boolean {
  const found = readKept(finishedSchema, file);
  if (found === undefined || !names.includes(found.identity)) return false;
  if (found.adapter !== undefined && found.adapter !== adapter) return false;
  const { losses, evaluations, bestStep, tokens, resumes, rows } = found;
  Object.assign(record, { losses, evaluations, bestStep, tokens, resumes, ...(rows && { rows }) });
  return true;
}

/**
 * The history of finished work, or of unfinished work as far as its newest checkpoint goes; undefined where there is none.
 * @param files the history, and the directory of the checkpoints
 * @throws OffsiteError BadModel when it is damaged
 */
export function readHistory(
  files: { history: string; checkpoints: string },
  { finished }: { finished: boolean },
): LossHistory | undefined {
  const path = finished ? files.history : newestCheckpoint(files.checkpoints);
  if (path === undefined || !isThere(path)) return undefined;
  try {
    const stored = readKeptJson(path);
    return historySchema.parse(finished ? stored : (stored as { record: unknown }).record);
  } catch (error) {
    throw badModel(`${path}: is damaged`, { cause: error });
  }
}

/** The state.json that was written last, of whichever training. */
function newestCheckpoint(directory: string): string | undefined {
  if (!isThere(directory)) return undefined;
  const found = readdirSync(directory)
    .flatMap((training) => namesIn(join(directory, training)).map((name) => join(directory, training, name)))
    .map((path) => join(path, 'state.json'))
    .map((path) => ({ path, written: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }));
  return found.sort((a, b) => a.written - b.written || (a.path < b.path ? -1 : 1)).at(-1)?.path;
}

const namesIn = (directory: string): string[] =>
  readdirSync(directory).filter((name) => /^step-\d+$/.test(name));
