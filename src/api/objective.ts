// What a tuning lowers: the loss of right answers, or one of preference pairs.
import { z } from 'zod';
import { decimal } from './fields.ts';
import type { DataFormat } from './metrics.ts';
import { type Rule, withRules } from './rules.ts';

const types = ['sft', 'dpo', 'orpo', 'simpo'] as const;
type Type = (typeof types)[number];

/** Which types have which setting. */
const settings = {
  beta: ['dpo', 'simpo'],
  loss: ['dpo'],
  labelSmoothing: ['dpo'],
  lambda: ['orpo'],
  gamma: ['simpo'],
  l1: ['sft'],
} as const satisfies Record<string, readonly Type[]>;
type Setting = keyof typeof settings;

const fields = z.strictObject({
  type: z
    .enum(types, { error: 'must be sft, dpo, orpo or simpo' })
    .default('sft')
    .describe(
      "sft: the likelihood of the right answers rises (of preference rows the chosen ones'); the others take preference rows: dpo: chosen answers rise against rejected ones from where the untrained adapter has them (arXiv 2305.18290); orpo: chosen ones rise, and their odds against those of rejected ones (arXiv 2403.07691); simpo: the mean log-likelihood of a chosen answer's token rises above the rejected one's by a margin (arXiv 2405.14734).",
    ),
  beta: decimal({ above: 0 }, '0.1')
    .optional()
    .describe(
      'How much a difference of log-likelihoods counts (dpo and simpo only); 0.1 for dpo, 2 for simpo when absent.',
    ),
  loss: z
    .enum(['sigmoid', 'hinge', 'ipo'])
    .optional()
    .describe(
      "Of a pair's margin (dpo only): sigmoid, when absent; hinge (arXiv 2305.10425); ipo: the square of its distance from 1 / (2 beta), by an answer's token (arXiv 2310.12036).",
    ),
  labelSmoothing: decimal({ below: 0.5 }, '0.1')
    .optional()
    .describe(
      'The share of pairs that are taken to be the wrong way round (dpo with loss sigmoid only); 0 when absent.',
    ),
  lambda: decimal({ above: 0 }, '0.1')
    .optional()
    .describe("Weight of the odds beside the chosen answers' likelihood (orpo only); 0.1 when absent."),
  gamma: decimal({}, '1.0')
    .optional()
    .describe(
      'The margin that is asked for, in units of beta times a log-likelihood (simpo only); half of beta when absent.',
    ),
  l1: decimal({}, '0.1')
    .optional()
    .describe(
      'How strongly each number of the change is drawn to zero (sft only): by so many learning rates a step, and no further than zero, so that what the rows do not ask for stays as it is (the sparse adapter of PAFT, arXiv 2406.17923); 0 when absent.',
    ),
});
type Fields = z.output<typeof fields>;

export const Objective = withRules(
  fields,
  ...(Object.keys(settings) as Setting[]).map((setting) => onlyFor(setting)),
  {
    holds: ({ loss, labelSmoothing }) => labelSmoothing === undefined || (loss ?? 'sigmoid') === 'sigmoid',
    cel: "!has(self.labelSmoothing) || !has(self.loss) || self.loss == 'sigmoid'",
    message: 'is only for loss sigmoid: remove it, or loss',
    path: ['labelSmoothing'],
  },
);
export type Objective = z.output<typeof Objective>;

/** A setting that only some types have. */
function onlyFor(setting: Setting): Rule<Fields> {
  const takers: readonly Type[] = settings[setting];
  const named = takers.map((type) => `(has(self.type) && self.type == '${type}')`);
  const absent = takers.includes('sft') ? ['!has(self.type)'] : [];
  return {
    holds: (objective) => objective[setting] === undefined || takers.includes(objective.type),
    cel: [`!has(self.${setting})`, ...absent, ...named].join(' || '),
    message: `is only for type ${takers.join(' and ')}`,
    path: [setting],
  };
}

/** The rule that an objective of pairs gets pairs, for zod and as CEL. */
export const objectiveFits = {
  holds: ({ objective, data }: { objective?: Objective | undefined; data: { format: DataFormat } }) =>
    (objective?.type ?? 'sft') === 'sft' || data?.format === 'preference',
  cel: "!has(self.objective) || !has(self.objective.type) || self.objective.type == 'sft' || self.data.format == 'preference'",
  message:
    'must be preference for spec.objective.type dpo, orpo and simpo, which learn from pairs of answers',
  path: ['data', 'format'],
};

/** The rule that canaries, which are no pairs, are trained on by no objective of pairs. */
export const canariesFit = {
  holds: ({
    objective,
    audit,
  }: {
    objective?: Objective | undefined;
    audit?: { canaries?: object | undefined } | undefined;
  }) => (objective?.type ?? 'sft') === 'sft' || audit?.canaries === undefined,
  cel: "!has(self.objective) || !has(self.objective.type) || self.objective.type == 'sft' || !has(self.audit) || !has(self.audit.canaries)",
  message: 'are rows of one answer, for spec.objective.type sft only: remove canaries, or the type',
  path: ['audit', 'canaries'],
};
