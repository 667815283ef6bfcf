import type { DataFormat } from '../api/index.ts';
import { type Example, type PackedBatch, readRows, tokenize } from '../data/index.ts';
import { type MetricName, packForModel, type RowScore, rowScores, scoreRows } from '../emulator/index.ts';
import type { Decoder, Model } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';

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
  /** acc for multiple choice and perplexity otherwise, when absent. */
  metric?: MetricName | undefined;
}

/** @throws OffsiteError BadData naming the file and row */
export function loadTask(
  model: Model,
  { name, path, format, limit, maxLength, metric }: TaskOptions,
): TaskData {
  const rows = readRows(path, format, limit === undefined ? {} : { limit });
  const examples = tokenize(rows, format, model.tokenizer, { mode: 'score', maxLength, file: path });
  return {
    name,
    metric: metric ?? (format === 'multipleChoice' ? 'acc' : 'perplexity'),
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
  return rowScores(await scoreRows(decoder, batches, options), examples, metric);
}
