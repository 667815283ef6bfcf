// Log-likelihoods of rows and their choices, as a model gives them.
import { badModel } from '../api/index.ts';
import type { PackedBatch, Targets } from '../data/index.ts';
import { type Decoder, greedyTokens, type States, score } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import { type Likelihoods, SummedLikelihoods } from './likelihoods.ts';
import { streamBlocks } from './stream.ts';

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
): Promise<Likelihoods> {
  const { memory, stage, emit, greedy: asked = false, onGreedyTokens, takesNaN = false, progress } = options;
  const likelihoods = new SummedLikelihoods(batches, { greedy: asked });
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
      targets.forEach((target, i) => {
        likelihoods.add(target, logProbabilities[i]!, tokens?.[i] === target.token);
      });
    },
    progress: progress ?? progressOf(stage, batches.length * decoder.depth, emit),
  });
  const without = takesNaN ? undefined : likelihoods.rowWithout();
  if (without !== undefined) {
    const { name, remedy } = options.blamed ?? theModel;
    throw badModel(`${name} gives row ${without + 1} a score that is not a number; ${remedy}`);
  }
  return likelihoods;
}
