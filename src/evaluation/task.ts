// Loading an evaluation task: its rows are read, tokenised and packed.
import { type DataFormat, metricsOf } from '../api/index.ts';
import {
  checkTargets,
  type Example,
  hasTargets,
  type PackedBatch,
  packedOfThread,
  readRows,
  tokenize,
} from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import type { Model } from '../model/index.ts';
import { packForModel } from './batches.ts';
import type { MetricName } from './cells.ts';
import type { PairReference } from './pairs.ts';

/** Rows to be scored, each with a token to predict, tokenised and packed once for all that is measured on them. */
export interface TaskData {
  readonly name: string;
  readonly metric: MetricName;
  readonly examples: readonly Example[];
  readonly batches: readonly PackedBatch[];
  /** Of pair_acc: what the model that pairs are compared with says of each row. */
  readonly reference?: PairReference;
}

export interface TaskOptions {
  readonly name: string;
  readonly path: string;
  readonly format: DataFormat;
  /** Of all rows of the file, taken before: others are refused; not looked at when absent. */
  readonly digest?: string | undefined;
  /** How many of the file's rows are passed over first; none when absent. */
  readonly skip?: number;
  /** Whether there may be no row there, or none with a token to predict: who asks tells what that means. */
  readonly mayHaveNone?: boolean;
  /** The most rows after those; all when absent. */
  readonly limit?: number | undefined;
  readonly maxLength: number;
  /** Whether no row's length decides what is refused: `maxLength` alone does; false when absent. */
  readonly hidden?: boolean;
  /** Bytes that the stage was given. */
  readonly memory: number;
  /** Whether rows are scored without any being trained on: long ones then go by tiles, where the engine has them; true when absent. */
  readonly byTiles?: boolean;
  /** The format's first, when absent. */
  readonly metric?: MetricName | undefined;
}

/** @throws OffsiteError BadData naming the file and row, BadModel where a row takes far more than the memory */
export async function loadTask(
  model: Model,
  engine: Engine,
  {
    name,
    path,
    format,
    digest,
    skip = 0,
    mayHaveNone,
    limit,
    maxLength,
    hidden = false,
    memory,
    metric,
    byTiles = true,
  }: TaskOptions,
): Promise<TaskData> {
  const rows = await readRows(path, format, {
    ...{ digest, memory },
    ...(limit === undefined ? {} : { limit: skip + limit }),
    cancelled: () => engine.isCancelled,
  });
  const found = await tokenize(rows.slice(skip), format, model.tokenizer, {
    mode: 'score',
    ...{ maxLength, hidden, positions: model.architecture.positions },
    file: path,
    before: skip,
    cancelled: () => engine.isCancelled,
  });
  if (!mayHaveNone) checkTargets(found, path);
  const examples = found.filter(hasTargets);
  return {
    name,
    metric: metric ?? metricsOf[format][0],
    examples,
    batches: packForModel(examples, model.architecture, {
      ...{ path, room: packedOfThread, maxLength, memory },
      // Also those without a token to predict: how many have one is of the rows.
      ...(hidden && { hidden: { rows: found.length } }),
      byTiles: byTiles && engine.tilesAttention,
    }),
  };
}
