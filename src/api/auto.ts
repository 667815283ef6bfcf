// What is asked of a build that finds its own way: two or three budgets; and what its status says of what was found.
import { z } from 'zod';
import { decimal } from './fields.ts';
import { count, figure, name, words } from './status.ts';

export const Auto = z.strictObject({
  leakAtMost: decimal({ atMost: 1 }, '0.3').describe(
    'The most bits kept of the untuned emulator, on rows of the probe (docs/leak.md has the measure): 0 is what a unigram model knows, 1 what the model does. Held against what is sealed, after refine.',
  ),
  sizeAtMost: decimal({ above: 0, atMost: 1 }, '0.5').describe(
    "The most bytes of the bundle's tensors, as a share of the model's.",
  ),
  exactAtMost: decimal({ atMost: 1 }, '0.3')
    .optional()
    .describe(
      "The most of the model's parameters that the bundle may hold bit by bit; embedding and head are among them. No bound when absent.",
    ),
});

/** What is counted and measured of a candidate. */
const figures = {
  sizeShare: figure.describe("Bytes of its tensors, as a share of the model's."),
  exactParameterShare: figure.describe("Of the model's parameters, those that it would hold bit by bit."),
};

const Way = z.object({
  strategy: name,
  layers: count.optional(),
  compression: z.object({ type: name, ratio: figure.optional() }).optional(),
  transferLayers: z.object({
    count: count.optional(),
    placement: name.optional(),
    layers: z.array(count).max(1024).optional(),
  }),
});

const bitsKept = z.object({
  value: figure,
  stderr: figure.optional().describe('Standard error over rows.'),
  withoutOneRow: figure
    .optional()
    .describe(
      'The most that it is without some one of the rows, where that is a tenth or more above: one row then outweighs the others.',
    ),
});

const Candidate = Way.extend({
  ...figures,
  sealedBitsKept: bitsKept
    .optional()
    .describe(
      'Untuned, on the same rows as bitsKept, of what would be sealed: after refine, in the number format of the bundle. Of the chosen one, and of those that would have been chosen but keep too much then.',
    ),
  bitsKept: bitsKept
    .optional()
    .describe(
      'Untuned, on rows of the probe, before refine; absent, as what follows, where size or exact share ruled it out before.',
    ),
  agreement: figure
    .optional()
    .describe(
      "The cosine, after some public steps, of its gradient of what the data owner would train and the model's gradient of all maps.",
    ),
  agreementAtStart: figure.optional().describe('The same before any step.'),
  agreementTrained: figure
    .optional()
    .describe('The cosine, after these steps, over what the data owner would train alone.'),
  verdict: z
    .enum(['chosen', 'fits', 'overLeak', 'overSize', 'overExact'])
    .describe('Whether it keeps the budgets, and else the first that it does not.'),
});

/** What `auto` has found. */
export const AutoFound = z.object({
  chosen: Way.describe('The fields of a spec that says the same without auto, and gives the same bundle.'),
  reason: words.describe('Why it was chosen.'),
  candidates: z.array(Candidate).max(64).describe('All that were looked at.'),
  rows: count.describe('Rows of the probe on which they were measured.'),
  passes: figure.describe(
    'What measuring them cost, in forward passes of the full model over the rows of the probe.',
  ),
});
export type AutoFound = z.output<typeof AutoFound>;

/** A way in a reader's words. */
export function wordsOfWay({
  strategy,
  layers,
  compression,
  transferLayers,
}: Readonly<z.output<typeof Way>>): string {
  const depth = layers === undefined ? 'all layers' : `${layers} layers by ${strategy}`;
  const become = compression === undefined ? 'exact' : `${compression.type} ${compression.ratio}`;
  const trained = transferLayers.layers?.length ?? transferLayers.count;
  return `${depth}, ${become}, ${trained === 0 ? 'LoRA beside every map' : `${trained} transfer layers`}`;
}
