import { type DataFormat, metricsOf } from '../api/index.ts';
import { type Example, type PackedBatch, readRows, tokenize } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import type { Decoder, Model } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import { packForModel } from './batches.ts';
import { type MetricName, type RowScore, rowScores } from './cells.ts';
import { scoreRows } from './score.ts';

/** Rows to be scored, tokenised and packed once for every cell. */
export interface TaskData {
  name: string;
  metric: MetricName;
  examples: readonly Example[];
  batches: readonly PackedBatch[];
}

export interface TaskOptions {
  name: string;
  path: string;
  format: DataFormat;
  limit?: number | undefined;
  maxLength: number;
  /** The format's first, when absent. */
  metric?: MetricName | undefined;
}

/** @throws OffsiteError BadData naming the file and row */
export async function loadTask(
  model: Model,
  engine: Engine,
  { name, path, format, limit, maxLength, metric }: TaskOptions,
): Promise<TaskData> {
  const rows = await readRows(path, format, limit === undefined ? {} : { limit });
  const examples = await tokenize(rows, format, model.tokenizer, {
    mode: 'score',
    maxLength,
    file: path,
    cancelled: () => engine.isCancelled,
  });
  return {
    name,
    metric: metric ?? metricsOf[format][0],
    examples,
    batches: packForModel(examples, model.architecture),
  };
}

/** Scores every row of a task with one decoder: one cell of the table. */
export async function evaluate(
  decoder: Decoder,
  { batches, examples, metric }: TaskData,
  options: { memory: number; stage: string; emit: Emit },
): Promise<RowScore[]> {
  const likelihoods = await scoreRows(decoder, batches, { ...options, greedy: metric === 'exact_match' });
  return rowScores(likelihoods, examples, metric);
}
