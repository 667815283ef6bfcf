// What a bundle gives away: the test that a spec asks for, and what a status says of it.
import { z } from 'zod';
import { decimal, integer } from './fields.ts';
import { withRules } from './rules.ts';
import { DataSource, dataFormat, Source } from './sources.ts';
import { Cell, count, Estimate, figure, name } from './status.ts';

const Budgets = withRules(z.array(integer(1, 1000000000000)).length(3), {
  holds: (tokens) => tokens.every((count, i) => i === 0 || count > (tokens[i - 1] ?? 0)),
  cel: 'size(self) != 3 || (self[0] < self[1] && self[1] < self[2])',
  message: 'must rise',
});

export const LeakTest = z.strictObject({
  data: DataSource.describe('Public rows on which an attacker would tune the emulator.'),
  tokens: Budgets.describe(
    'Three budgets of his, in tokens: the points of one run. They are trained on twice: by the emulator, and by a control of the same shape with random weights.',
  ),
  task: z
    .strictObject({
      data: Source.describe('Rows that neither is tuned on.'),
      format: dataFormat,
      limit: integer(2, 1000000).optional().describe('How many of the first rows; all when absent.'),
    })
    .optional()
    .describe('What both are measured on at each budget; the rows of spec.evaluation when absent.'),
  learningRate: decimal({ above: 0 }, '1e-4')
    .default('1e-4')
    .describe("AdamW's, after a warm-up of a tenth of the first budget."),
  batchSize: integer(1, 65536).default(16).describe('Rows of a step, in a seeded order.'),
  maxLength: integer(2, 131072).default(256).describe('Tokens after which a row of text is cut.'),
  seed: integer(0, 4294967295)
    .default(42)
    .describe("Of the order of the rows, and of the control's weights."),
});

/** Before anybody tunes it. */
export const Leak = z.object({
  control: Cell.optional().describe(
    "The quality of a model of the emulator's shape whose weights are random: what knows nothing.",
  ),
  correctedCpl: Estimate.optional().describe(
    "CPL counted from the control: 0 is the control's quality, 1 the model's. Absent where the model is not better than the control.",
  ),
  bitsKept: Estimate.optional().describe(
    'Of what the model saves of a unigram model in likelihood per token, the share that the emulator saves too.',
  ),
  greedyAgreement: Estimate.optional().describe(
    'The share of tokens at which emulator and model would choose the same next one.',
  ),
  exactParameterShare: figure.describe("Share of the model's parameters that the bundle holds exactly."),
  subspaceShare: figure.describe(
    "Share of the squared norm of the model's matrices that lies in what the bundle holds, by parameters: 1 for an exact one, 0 for an absent one, for factors what their row and column spaces hold.",
  ),
  layerSubspaceShare: figure.describe(
    'The same of the matrices of the layers alone, without embedding and head.',
  ),
});

/** What a leak test found. */
export const Recovery = z.object({
  metric: name.describe('acc, exact_match or perplexity.'),
  samples: count.describe('Rows that were measured on.'),
  full: Cell.describe('The full model, untuned.'),
  points: z
    .array(z.object({ tokens: count.describe('Tuned on.'), emulator: Cell, control: Cell }))
    .max(4)
    .describe('The untuned models, and both after each budget.'),
  halfway: figure
    .optional()
    .describe(
      'Halfway from the untuned control to the full model; absent where the full model is no better.',
    ),
  reachedAt: count
    .optional()
    .describe(
      'The first of the points at which the emulator has reached that, by its tokens; absent where none has.',
    ),
});
