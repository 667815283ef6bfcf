import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badModel } from '../api/index.ts';
import { writeWhole } from '../artifact/index.ts';
import type { TrainingRecord } from './state.ts';

const cell = z.object({ value: z.number().nullable(), stderr: z.number().nullable() });
const historySchema = z.object({
  losses: z.array(z.number()),
  evaluations: z.array(z.object({ step: z.int().nonnegative(), loss: z.number(), cell })),
  bestStep: z.int().nonnegative(),
});

/** The training loss of each step and what each evaluation found: the data owner's, so it lies beside the adapter and does not travel. */
export type LossHistory = z.output<typeof historySchema>;

export const historyFile = 'history.json';

/** Writes the history of finished work below its checkpoints' directory. */
export function writeHistory(directory: string, { losses, evaluations, bestStep }: TrainingRecord): void {
  mkdirSync(directory, { recursive: true });
  writeWhole(join(directory, historyFile), JSON.stringify({ losses, evaluations, bestStep }));
}

/**
 * The history of finished work, or of unfinished work as far as its newest checkpoint goes; undefined where there is none.
 * @throws OffsiteError BadModel when it is damaged
 */
export function readHistory(directory: string, { finished }: { finished: boolean }): LossHistory | undefined {
  const path = join(
    directory,
    finished ? historyFile : join(newestCheckpoint(directory) ?? '', 'state.json'),
  );
  if (!existsSync(path)) return undefined;
  try {
    const stored = JSON.parse(readFileSync(path, 'utf8')) as unknown;
    return historySchema.parse(finished ? stored : (stored as { record: unknown }).record);
  } catch (error) {
    throw badModel(`${path}: is damaged`, { cause: error });
  }
}

function newestCheckpoint(directory: string): string | undefined {
  if (!existsSync(directory)) return undefined;
  return readdirSync(directory)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .at(-1);
}
