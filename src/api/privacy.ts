// The spec's sections on the privacy of rows: what an adapter may tell of one of them, and an audit of what it does tell.
import { z } from 'zod';
import { decimal, integer } from './fields.ts';
import { withRules } from './rules.ts';
import { count, figure, words } from './status.ts';

/** What bounds the guarantee of a training; beyond these nothing is gained or protected. */
const mostFigure = 1e6;

/** Row-level differential privacy by DP-SGD (arXiv 1607.00133). */
export const Privacy = withRules(
  z.strictObject({
    noiseMultiplier: decimal({ above: 0.01, atMost: mostFigure }, '1.1')
      .optional()
      .describe('The standard deviation of the noise over clipNorm; this or epsilon.'),
    epsilon: decimal({ above: 0, atMost: mostFigure }, '8', 'infinity')
      .optional()
      .describe(
        'The guarantee that is wanted: the least noise that gives it is taken; this or noiseMultiplier. "infinity" wants none: rows are neither clipped nor drawn nor hidden in noise, and the adapter is that of a training without privacy.',
      ),
    delta: decimal({ above: 0, below: 1 }, '1e-5')
      .optional()
      .describe(
        'Of (epsilon, delta); less than 1 / rows. The largest power of ten that is at most 1 / (10 rows) when absent.',
      ),
    clipNorm: decimal({ above: 1e-6, atMost: mostFigure }, '1.0')
      .default('1.0')
      .describe(
        "Largest norm of one row's gradient over all that is trained; takes the place of training.clipNorm.",
      ),
  }),
  {
    holds: ({ noiseMultiplier, epsilon }) => (noiseMultiplier === undefined) !== (epsilon === undefined),
    cel: 'has(self.noiseMultiplier) != has(self.epsilon)',
    message: 'must have either noiseMultiplier or epsilon',
  },
);
export type Privacy = z.output<typeof Privacy>;

/** Whether rows are hidden at all: an epsilon of infinity hides none. */
export const hidesRows = (privacy: Privacy | undefined): privacy is Privacy =>
  privacy !== undefined && privacy.epsilon !== 'infinity';

/** The most answers that all canaries are ranked among together: each is scored twice. */
const mostAnswers = 2 ** 18;

/** Attacks on the tuned emulator by whoever has it, run by the data owner before the adapter is handed over. */
export const Audit = withRules(
  z.strictObject({
    membership: z
      .strictObject({
        limit: integer(2, 100000)
          .default(1000)
          .describe('The most training rows, and the most validation rows, that are compared.'),
      })
      .optional()
      .describe(
        'Tells training rows from validation rows by how much tuning lowered their loss (area under the curve, true positives at 1 % false ones).',
      ),
    canaries: withRules(
      z.strictObject({
        count: integer(2, 1000)
          .default(16)
          .describe('How many rows of random tokens are trained on beside the data.'),
        candidates: integer(15, 65535)
          .default(255)
          .describe(
            `Among how many others that were not trained on each is ranked; count x (candidates + 1) is at most ${mostAnswers}.`,
          ),
      }),
      {
        holds: ({ count, candidates }) => !(count * (candidates + 1) > mostAnswers),
        cel: `(has(self.count) ? self.count : 16) * ((has(self.candidates) ? self.candidates : 255) + 1) <= ${mostAnswers}`,
        message: `must be so few that count x (candidates + 1) is at most ${mostAnswers}`,
        path: ['candidates'],
      },
    )
      .optional()
      .describe(
        'Trains on rows of random tokens too, which changes the adapter, and measures how far they stand out (exposure, arXiv 1802.08232).',
      ),
  }),
  {
    holds: ({ membership, canaries }) => membership !== undefined || canaries !== undefined,
    cel: 'has(self.membership) || has(self.canaries)',
    message: 'must ask for membership, canaries or both: {membership: {}} will do',
  },
);
export type Audit = z.output<typeof Audit>;

export const PrivacyStatus = z.object({
  epsilon: figure,
  delta: figure,
  noiseMultiplier: figure,
  clipNorm: figure,
  samplingRate: figure.describe('The probability with which each row is in a step.'),
  clipped: figure
    .optional()
    .describe(
      "The share of rows' gradients that were clipped; of the private rows, so it is in no manifest.",
    ),
  notFinite: count
    .optional()
    .describe(
      "How many of rows' gradients were not finite and counted as zero, where there were any; of the private rows, so it is in no manifest.",
    ),
});
export type PrivacyStatus = z.output<typeof PrivacyStatus>;

const Interval = z.object({
  value: figure,
  low: figure.describe('Lower end of the 95 % interval.'),
  high: figure.describe('Upper end.'),
});

export const AuditStatus = z.object({
  membership: z
    .object({
      members: count.describe('Training rows.'),
      nonMembers: count.describe('Validation rows.'),
      auc: Interval.describe('Area under the curve: 0.5 is chance; interval by DeLong et al.'),
      tpr: Interval.describe(
        'Training rows that are recognised where another row is taken for one with a probability of at most 1 %: 0.01 is chance (1 / (nonMembers + 1) where these are fewer than 99); the interval has room for what the validation rows do not tell of that 1 %, and no lower end for fewer than 437.',
      ),
      doubts: words.optional().describe('What there are too few rows for.'),
    })
    .optional(),
  canaries: z
    .object({
      canaries: count,
      candidates: count,
      exposure: Interval.describe('Mean exposure in bits; normal interval.'),
      chance: figure.describe('What canaries that were not trained on have in the mean.'),
      most: figure.describe('What canaries have that all stand out from every candidate.'),
    })
    .optional(),
});
export type AuditStatus = z.output<typeof AuditStatus>;
