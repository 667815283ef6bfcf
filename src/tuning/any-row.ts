// What a step may take of memory is taken before any row is drawn, where rows are hidden.
import { type Example, packStep } from '../data/index.ts';
import { crossEntropy, partGradients, privateGradients } from '../training/index.ts';
import type { Run, TuneOptions } from './prepare.ts';

/**
 * Computes the sum of a step of two rows of nothing, as long as a row may be, and drops it. A process that has no room for such rows
 * ends here, whatever the rows are: else its end would tell that it drew a long one, and what is long the emulator's tokenizer decides.
 */
export async function takeRoomOfAnyRow(
  { trainer, parts, plan, headGradient: head, aim }: Run,
  { spec }: TuneOptions,
): Promise<void> {
  for (const { training } of parts.values()) training.update();
  const row = packStep([longestRow(spec.training.maxLength, aim.pairs !== undefined)], [0], plan.shape);
  const gradientOptions = {
    ...{ objective: crossEntropy, recompute: plan.recompute },
    ...(head && { head }),
  };
  // Of the first, the collector may not have taken back what it took when the second is computed.
  await privateGradients([...row, ...row], new Set(parts.values()), 0, {
    hidden: { clipNorm: 1, expectedRows: 1, deviation: 0, normal: () => () => 0 },
    gradientsOf: (of) => partGradients(trainer, [of], parts, gradientOptions),
  });
}

/** Of pairs with no more than a token in common, and answers as long as they may be. */
function longestRow(maxLength: number, isPair: boolean): Example {
  const tokens = new Array<number>(isPair ? maxLength - 1 : maxLength).fill(0);
  const row = { row: 0, bytes: [] };
  return isPair
    ? { ...row, trunk: [0], branches: [tokens, tokens] }
    : { ...row, trunk: tokens, branches: [] };
}
