import { z } from 'zod';
import { Analysis } from '../analysis.ts';
import { decimal, integer, resourceName } from '../fields.ts';
import { Engine, jobFields } from '../job.ts';
import { Metric, metricFits } from '../metrics.ts';
import { distinct, withRules } from '../rules.ts';
import { artifactFrom, dataFormat, PlugInOutput, Source } from '../sources.ts';

const Task = withRules(
  z.strictObject({
    name: resourceName.describe('Name of the task in the results.'),
    data: Source.describe('Rows that were released to the model owner.'),
    format: dataFormat,
    limit: integer(1, 1000000).optional().describe('How many of the first rows; all when absent.'),
    metric: Metric.optional().describe(
      'acc: the choice with the highest summed log-likelihood; acc_norm: divided by its bytes; exact_match: greedy decoding gives one of the accepted answers; perplexity. When absent: exact_match for webquestions, acc for the other questions, else perplexity.',
    ),
  }),
  metricFits,
);

const Evaluation = z.strictObject({
  tasks: distinct(z.array(Task).min(1).max(32), 'name').describe('What is evaluated.'),
  maxLength: integer(2, 131072)
    .default(512)
    .describe('Tokens of a row; a row whose answer would be cut is refused.'),
  bootstrapSamples: integer(100, 100000)
    .default(10000)
    .describe('Resamples of the paired bootstrap of differences.'),
  seed: integer(0, 4294967295).default(42).describe('Seed of the bootstrap.'),
});

const gate = (inequality: string) =>
  z
    .strictObject({
      tolerance: decimal({}, '0.01')
        .default('0')
        .describe("How much may be missing, in the metric's own unit (0.01 is one point of accuracy)."),
    })
    .optional()
    .describe(inequality);

const Gates = z.strictObject({
  emulatorBelowFull: gate(
    'Emulator zero-shot is worse than full zero-shot: the bundle gives away less than the model.',
  ),
  plugInAboveFullZeroShot: gate('Plug-in is at least as good as full zero-shot: the adapter helps.'),
  plugInAboveEmulatorFineTuned: gate(
    'Plug-in is better than the fine-tuned emulator: there is a reason to send the adapter back.',
  ),
});

export const PlugInSpec = withRules(
  z.strictObject({
    model: Source.describe('The full model.'),
    emulator: artifactFrom('EmulatorBuild').describe('The bundle that the adapter was trained on.'),
    adapter: artifactFrom('OffsiteTune').describe('The adapter that came back.'),
    coefficient: decimal({ atMost: 10 }, '1.0')
      .default('1.0')
      .describe('How much of the change is plugged in: (1-c) full + c plugged.'),
    evaluation: Evaluation.optional().describe('What is measured on full model, emulator and plug-in.'),
    gates: Gates.optional().describe(
      'Inequalities that stop the release where they do not hold; those not named are reported and stop nothing.',
    ),
    analysis: Analysis.optional().describe(
      'What is measured after the evaluation, to explain it; it changes and stops nothing.',
    ),
    output: PlugInOutput.describe('Where the result goes.'),
    engine: Engine,
    ...jobFields,
  }),
  {
    holds: ({ gates, evaluation }) => gates === undefined || evaluation !== undefined,
    cel: '!has(self.gates) || has(self.evaluation)',
    message: 'need spec.evaluation.tasks to be measured on: add it, or remove gates',
    path: ['gates'],
  },
  {
    holds: ({ analysis, evaluation }) => analysis === undefined || evaluation !== undefined,
    cel: '!has(self.analysis) || has(self.evaluation)',
    message: 'needs spec.evaluation.tasks to be measured on: add it, or remove analysis',
    path: ['analysis'],
  },
  {
    holds: ({ analysis, evaluation }) =>
      !Array.isArray(analysis?.tasks) ||
      !Array.isArray(evaluation?.tasks) ||
      analysis.tasks.every((name) => evaluation.tasks.some((task) => task?.name === name)),
    cel: '!has(self.analysis) || !has(self.analysis.tasks) || !has(self.evaluation) || self.analysis.tasks.all(name, self.evaluation.tasks.exists(task, task.name == name))',
    message: 'must be names of tasks of spec.evaluation.tasks',
    path: ['analysis', 'tasks'],
  },
);

export type PlugInSpec = z.output<typeof PlugInSpec>;
