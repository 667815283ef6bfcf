// Measuring a model on a task: one pass gives the metric and the loss.
import type { Decoder } from '../model/index.ts';
import { type Cell, cellOf, type RowScores, rowScores } from './cells.ts';
import type { Likelihoods } from './likelihoods.ts';
import { lossOf } from './loss.ts';
import { pairLikelihoods, pairReference } from './pairs.ts';
import { type ScoreOptions, scoreRows } from './score.ts';
import type { TaskData } from './task.ts';

/** What one pass over a task's rows has found. */
export interface Measurement {
  readonly scores: RowScores;
  readonly cell: Cell;
  /** In nats, as `lossOf` has it. */
  readonly loss: number;
}

export type MeasureOptions = Omit<ScoreOptions, 'greedy'>;

/**
 * Measures any model on a task's rows.
 * @throws OffsiteError BadModel where a score is not a number, Cancelled between two blocks
 */
export async function measure(
  decoder: Decoder,
  task: TaskData,
  options: MeasureOptions,
): Promise<Measurement> {
  return measurementOf(await likelihoodsOf(decoder, task, options), task);
}

/** What the model says of each row: all that its measurement follows from. */
export const likelihoodsOf = (
  decoder: Decoder,
  { batches, metric }: Pick<TaskData, 'batches' | 'metric'>,
  options: MeasureOptions,
): Promise<Likelihoods> => scoreRows(decoder, batches, { ...options, greedy: metric === 'exact_match' });

/** The task with a model's answers to be compared with, where its metric asks for that. */
export const comparedWith = (task: TaskData, likelihoods: Likelihoods): TaskData =>
  task.metric === 'pair_acc'
    ? { ...task, reference: pairReference(task.examples, pairLikelihoods(likelihoods)) }
    : task;

export function measurementOf(
  likelihoods: Likelihoods,
  { examples, metric, reference }: Pick<TaskData, 'examples' | 'metric' | 'reference'>,
): Measurement {
  const scores = rowScores(likelihoods, examples, metric, reference);
  return { scores, cell: cellOf(scores, metric), loss: lossOf(likelihoods, examples) };
}
