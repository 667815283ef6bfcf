// What a step may take of memory is taken before any row is drawn, where rows are hidden.
import { type Example, packStep } from '../data/index.ts';
import { crossEntropy, partGradients } from '../training/index.ts';
import type { Run, TuneOptions } from './prepare.ts';

/**
 * Computes the gradient of a row of nothing, as long as a row may be, and drops it. A process that has no room for such a row ends
 * here, whatever the rows are: else its end would tell that it drew a long one, and what is long the emulator's tokenizer decides.
 */
export async function takeRoomOfAnyRow(
  { trainer, parts, plan, headGradient: head, aim }: Run,
  { spec }: TuneOptions,
): Promise<void> {
  const row = longestRow(spec.training.maxLength, aim.pairs !== undefined);
  for (const { training } of parts.values()) training.update();
  await partGradients(trainer, packStep([row], [0], plan.shape), parts, {
    ...{ objective: crossEntropy, recompute: plan.recompute },
    ...(head && { head }),
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
