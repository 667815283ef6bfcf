import { type DataFormat, metricsOf } from '../api/index.ts';
import { type Example, type PackedBatch, readRows, tokenize } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import { cellOf, type MetricName, packForModel, rowScores, scoreRows } from '../evaluation/index.ts';
import type { Decoder, Model } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import type { Evaluation } from '../training/index.ts';

/** Validation rows, tokenised and packed once. */
export interface ValidationData {
  metric: MetricName;
  examples: readonly Example[];
  batches: readonly PackedBatch[];
}

/** @throws OffsiteError BadData naming file and row */
export async function loadValidation(
  path: string,
  format: DataFormat,
  maxLength: number,
  model: Model,
  engine: Engine,
): Promise<ValidationData> {
  const examples = await tokenize(await readRows(path, format), format, model.tokenizer, {
    mode: 'score',
    maxLength,
    file: path,
    cancelled: () => engine.isCancelled,
  });
  return {
    metric: metricsOf[format][0],
    examples,
    batches: packForModel(examples, model.architecture),
  };
}

/** One pass over the validation rows: the loss on the right answers, and the task's own metric. */
export async function evaluate(
  decoder: Decoder,
  { metric, examples, batches }: ValidationData,
  { step, memory, emit }: { step: number; memory: number; emit: Emit },
): Promise<Evaluation> {
  const rows = await scoreRows(decoder, batches, {
    memory,
    stage: 'evaluate',
    emit,
    greedy: metric === 'exact_match',
  });
  const answers = new Map(examples.map(({ row, answer }) => [row, answer]));
  let sum = 0;
  let tokens = 0;
  for (const { row, logLikelihood, tokens: counts } of rows) {
    const answer = answers.get(row);
    const branch = answer === undefined ? 0 : answer + 1;
    sum -= logLikelihood[branch] as number;
    tokens += counts[branch] as number;
  }
  return { step, loss: sum / tokens, cell: cellOf(rowScores(rows, examples, metric), metric) };
}
