// The formats in which rows are read, and which metrics can be measured on each.
import { z } from 'zod';

/** How rows are read; for the question-answering sets, their own published columns. */
export const DataFormat = z.enum([
  'text',
  'completion',
  'chat',
  'multipleChoice',
  'preference',
  'openbookqa',
  'arc',
  'webquestions',
  'piqa',
  'sciq',
  'race',
  'hellaswag',
]);
export type DataFormat = z.output<typeof DataFormat>;

export const Metric = z.enum(['acc', 'acc_norm', 'pair_acc', 'exact_match', 'perplexity']);
export type Metric = z.output<typeof Metric>;

/**
 * Whether a metric tells which of two models is the better one. `pair_acc` is told and judges nothing: a model that gives every
 * token another likelihood, as any tuning does, leans by how long the two answers are, whatever it prefers.
 */
export const isJudged = (metric: string): boolean => metric !== 'pair_acc';

const likelihood = ['perplexity'] as const;
const choice = ['acc', 'acc_norm'] as const;

/** Whether a metric counts each row as right or wrong, so that its value is a share of rows. */
export const countsRows = (metric: string): boolean => metric !== 'perplexity' && metric !== 'pair_acc';

/** What can be measured on rows of a format; the first where nothing is asked for. */
export const metricsOf: Readonly<Record<DataFormat, readonly [Metric, ...Metric[]]>> = {
  text: likelihood,
  completion: likelihood,
  chat: likelihood,
  multipleChoice: choice,
  preference: [...choice, 'pair_acc'],
  openbookqa: choice,
  arc: choice,
  webquestions: ['exact_match'],
  piqa: choice,
  sciq: choice,
  race: choice,
  hellaswag: choice,
};

/** The rule that a metric fits its format, for zod and as CEL. */
export const metricFits = {
  holds: ({ format, metric }: { format: DataFormat; metric?: Metric | undefined }) =>
    metric === undefined || !Metric.options.includes(metric) || (metricsOf[format]?.includes(metric) ?? true),
  cel: `!has(self.metric) || ${Metric.options
    .map((metric) => {
      const formats = DataFormat.options.filter((format) => metricsOf[format].includes(metric));
      return `(self.metric == '${metric}' && self.format in [${formats.map((format) => `'${format}'`).join(', ')}])`;
    })
    .join(' || ')}`,
  message:
    'must be acc or acc_norm for questions with choices, exact_match for webquestions, perplexity for text, completion and chat, acc, acc_norm or pair_acc for preference',
  path: ['metric'],
};
