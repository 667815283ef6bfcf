// Log-likelihoods of rows and their choices, as a model gives them.
import { badModel } from '../api/index.ts';
import type { PackedBatch, Targets } from '../data/index.ts';
import { type Decoder, greedyTokens, type States, score } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import { streamBlocks } from './stream.ts';

/** What a model says of one row: entry 0 is the trunk (text), entry c + 1 branch c (a choice, a completion). */
export interface RowLikelihood {
  readonly row: number;
  /** The summed log-probability of the target tokens, in nats. */
  readonly logLikelihood: number[];
  readonly tokens: number[];
  /** Whether greedy decoding gives just these tokens; where that was asked for. */
  readonly greedy?: boolean[];
}

/** As an error names it: `{name} gives row 1 a score that is not a number; {remedy}`. */
export interface Blamed {
  readonly name: string;
  readonly remedy: string;
}

const theModel: Blamed = { name: 'the model', remedy: 'check its weights' };

export interface ScoreOptions {
  /** Bytes that the batches in flight may take. */
  readonly memory: number;
  /** The stage that progress events name. */
  readonly stage: string;
  readonly emit: Emit;
  /** Whether rows are told what greedy decoding would say. */
  readonly greedy?: boolean;
  /** Told the token that greedy decoding chooses at each target, target after target as the batches have them. */
  readonly onGreedyTokens?: (tokens: Int32Array) => void;
  /** Whether what is not a number is told as it is: of hidden rows, that nothing comes of them would tell. */
  readonly takesNaN?: boolean;
  /** Who is at fault where a score is not a number; the model and its weights when absent. */
  readonly blamed?: Blamed | undefined;
  /** Told of every block done, in the place of events of this scoring alone. */
  readonly progress?: (blocks: number) => void;
}

/**
 * Scores every target of the batches; rows in ascending order.
 * @throws OffsiteError BadModel where a score is not a number, unless that is taken; Cancelled between two blocks
 */
export async function scoreRows(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  options: ScoreOptions,
): Promise<RowLikelihood[]> {
  const { memory, stage, emit, greedy: asked = false, onGreedyTokens, takesNaN = false, progress } = options;
  const scores = new Map<number, RowLikelihood>();
  const scoreTargets = async (
    hidden: States,
    targets: Targets,
  ): Promise<{ scores: Float32Array; tokens?: Int32Array }> =>
    asked || onGreedyTokens !== undefined
      ? await decoder.head(hidden, targets, greedyTokens)
      : { scores: await decoder.head(hidden, targets, score) };
  await streamBlocks(decoder, batches, {
    memory,
    atEnd: async ({ targets }, hidden) => {
      const { scores: logProbabilities, tokens } = await scoreTargets(hidden, targets);
      if (tokens !== undefined) onGreedyTokens?.(tokens);
      targets.forEach(({ row, branch, token }, i) => {
        const found = scores.get(row) ?? {
          ...{ row, logLikelihood: [0], tokens: [0] },
          ...(asked ? { greedy: [false] } : {}),
        };
        scores.set(row, found);
        found.logLikelihood[branch] = (found.logLikelihood[branch] ?? 0) + logProbabilities[i]!;
        found.tokens[branch] = (found.tokens[branch] ?? 0) + 1;
        if (tokens && found.greedy)
          found.greedy[branch] = (found.greedy[branch] ?? true) && tokens[i] === token;
      });
    },
    progress: progress ?? progressOf(stage, batches.length * decoder.depth, emit),
  });
  for (const { row, logLikelihood } of scores.values())
    if (!takesNaN && logLikelihood.some(Number.isNaN)) {
      const { name, remedy } = options.blamed ?? theModel;
      throw badModel(`${name} gives row ${row + 1} a score that is not a number; ${remedy}`);
    }
  return [...scores.values()].sort((a, b) => a.row - b.row);
}
