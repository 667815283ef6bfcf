// The kind that puts an adapter into the full model and measures it: evaluation, gates, analysis and release.
import { z } from 'zod';
import {
  Aggregate,
  Aggregation,
  aggregationRules,
  mostParties,
  partyAdapter,
  partyVerdicts,
} from '../aggregation.ts';
import { Analysis } from '../analysis.ts';
import { decimal, integer, resourceName } from '../fields.ts';
import { Engine, jobFields } from '../job.ts';
import { isJudged, Metric, metricFits } from '../metrics.ts';
import { distinct, withRules } from '../rules.ts';
import { Signers, signerRules } from '../signing.ts';
import { artifactFrom, dataFormat, PlugInOutput, Source } from '../sources.ts';
import { Cell, common, count, figure, layer, name, ReadArtifact, words } from '../status.ts';
import { declare, wide } from './declare.ts';
import { artifact, artifacts, model, rows, type Unchecked } from './inputs.ts';

const Task = withRules(
  z.strictObject({
    name: resourceName.describe('Name of the task in the results.'),
    data: Source.describe('Rows that were released to the model owner.'),
    format: dataFormat,
    limit: integer(1, 1000000).optional().describe('How many of the first rows; all when absent.'),
    metric: Metric.optional().describe(
      'acc: the choice with the highest summed log-likelihood; acc_norm: divided by its bytes; exact_match: greedy decoding gives one of the accepted answers; pair_acc: the chosen answer stands higher against the rejected one than in the full model, whose own is one half by definition; perplexity. When absent: exact_match for webquestions, acc for the other questions and preference, else perplexity.',
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

const PlugInSpec = withRules(
  z.strictObject({
    model: Source.describe('The full model.'),
    emulator: artifactFrom('EmulatorBuild').describe('The bundle that the adapter was trained on.'),
    adapter: artifactFrom('OffsiteTune').optional().describe('The adapter that came back.'),
    adapters: z
      .array(partyAdapter('OffsiteTune'))
      .min(2)
      .max(mostParties)
      .optional()
      .describe(
        'Several, all trained on this bundle and of one type, in the place of adapter; their order changes nothing.',
      ),
    aggregation: Aggregation.optional().describe('How the changes of adapters become one.'),
    coefficient: decimal({ atMost: 10 }, '1.0')
      .default('1.0')
      .describe(
        'How much of the change is plugged in: (1-c) full + c plugged. Where spec.output.save is adapter, 1: it is released as it came, and gates hold for what is released.',
      ),
    evaluation: Evaluation.optional().describe('What is measured on full model, emulator and plug-in.'),
    gates: Gates.optional().describe(
      'Inequalities that stop the release where they do not hold; those not named are reported and stop nothing.',
    ),
    analysis: Analysis.optional().describe(
      'What is measured after the evaluation, to explain it; it changes and stops nothing.',
    ),
    signers: Signers,
    output: PlugInOutput.describe('Where the result goes.'),
    engine: Engine,
    ...jobFields,
  }),
  ...signerRules({ single: ['emulator', 'adapter'], lists: ['adapters'] }),
  {
    holds: ({ coefficient, output }) =>
      output?.save !== 'adapter' || Number.isNaN(Number(coefficient)) || Number(coefficient) === 1,
    cel: "!has(self.coefficient) || !has(self.output.save) || self.output.save != 'adapter' || double(self.coefficient) == 1.0",
    message:
      'must be 1 where spec.output.save is adapter: whoever loads the adapter plugs in the whole of it, and that is what must be measured',
    path: ['coefficient'],
  },
  {
    holds: ({ gates, evaluation }) => gates === undefined || evaluation !== undefined,
    cel: '!has(self.gates) || has(self.evaluation)',
    message: 'need spec.evaluation.tasks to be measured on: add it, or remove gates',
    path: ['gates'],
  },
  {
    holds: ({ gates, evaluation }) =>
      gates === undefined ||
      evaluation === undefined ||
      evaluation.tasks.some(({ metric }) => metric === undefined || isJudged(metric)),
    cel: "!has(self.gates) || !has(self.evaluation) || self.evaluation.tasks.exists(task, !has(task.metric) || task.metric != 'pair_acc')",
    message: 'need a task of another metric than pair_acc, which judges nothing: add one, or remove gates',
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
  ...aggregationRules,
);

export type PlugInSpec = z.output<typeof PlugInSpec>;

const TaskResult = z.object({
  task: name,
  metric: name,
  samples: count,
  cells: z.object({
    fullZeroShot: Cell,
    emulatorZeroShot: Cell,
    emulatorFineTuned: Cell,
    plugIn: Cell,
    fullFineTuned: Cell.optional().describe('Only in studies, where one party has model and data.'),
  }),
  differences: z
    .array(z.object({ name: z.string().max(128), value: figure, stderr: figure, low: figure, high: figure }))
    .max(16)
    .optional()
    .describe(
      'Of two cells on the same rows, with the 95% interval of a paired bootstrap; where few rows differ it excludes zero too often, and a report decides nothing by it alone.',
    ),
});
export type TaskResult = z.output<typeof TaskResult>;

const LayerChange = z.object({ layer, change: figure });
const LayerChanges = z.object({
  largest: LayerChange.describe('The layer without which the loss grows most, and by how much.'),
  smallest: LayerChange.describe('The layer without which it grows least, or falls most.'),
});

const AnalysisSummary = z.object({
  task: name,
  samples: count,
  loss: figure.describe(
    "Of the plugged-in model: the mean negative log-likelihood of the answers' tokens, in nats.",
  ),
  interpolation: z
    .object({
      fullLoss: figure.optional().describe('At 0, the full model.'),
      bestCoefficient: figure,
      bestLoss: figure,
      barrier: figure
        .optional()
        .describe(
          'How far the loss between full model and plug-in rises above the straight line between theirs; 0 where it does not, absent where nothing between them was measured.',
        ),
    })
    .optional(),
  deleted: LayerChanges.optional().describe('With each layer skipped.'),
  rewound: LayerChanges.optional().describe("With each transfer layer set back to the full model's weights."),
});
export type AnalysisSummary = z.output<typeof AnalysisSummary>;

const PlugInStatus = z.object({
  ...common,
  inputs: z
    .object({
      emulator: ReadArtifact,
      adapter: ReadArtifact,
      adapters: z.array(ReadArtifact.unwrap()).max(mostParties).optional(),
    })
    .optional()
    .describe('What the latest attempt reads, by digest.'),
  evaluation: distinct(z.array(TaskResult).max(32), 'task').optional(),
  gates: distinct(
    z.array(z.object({ name: z.string().max(128), passed: z.boolean(), message: words })).max(128),
    'name',
  ).optional(),
  merge: z
    .object({
      dtype: name.describe('In which the model stores its weights, and the saved model too.'),
      changedWeights: count.describe('How many weights the adapter changes.'),
      keptShare: figure.describe(
        'The share of them that is changed in that type, too; the others are rounded back to what they were.',
      ),
    })
    .optional()
    .describe('What a saved model in bfloat16 or float16 keeps of the change.'),
  analysis: distinct(z.array(AnalysisSummary).max(32), 'task')
    .optional()
    .describe('The analyses in short; all of them are in the manifest and in the report.'),
  aggregate: Aggregate.optional().describe('What several adapters came to.'),
  parties: partyVerdicts
    .optional()
    .describe('What became of each of several adapters, in the order of their digests.'),
});
export type PlugInStatus = z.output<typeof PlugInStatus>;

const references = ({ emulator, adapter, adapters }: Unchecked) => [
  artifact({ role: 'emulator', field: 'spec.emulator', kind: 'EmulatorBuild' }, emulator),
  ...(adapters === undefined
    ? [artifact({ role: 'adapter', field: 'spec.adapter', kind: 'OffsiteTune' }, adapter)]
    : artifacts({ role: 'adapters', field: 'spec.adapters', kind: 'OffsiteTune' }, adapters, mostParties)),
];

export const plugIn = declare({
  kind: 'PlugIn',
  names: { plural: 'plugins', singular: 'plugin', short: 'pi' },
  description:
    'Plugs an adapter into the full model, measures it, and releases the result if the gates hold.',
  party: 'modelOwner',
  columns: [
    wide('Model', '.spec.model.uri'),
    wide('Emulator', '.spec.emulator.ref.name'),
    // Of several the first one that is a reference: a column shows one value.
    wide('Adapter', ".spec['adapter','adapters']..ref.name"),
    wide('Aggregation', '.spec.aggregation.method'),
  ],
  spec: PlugInSpec,
  status: PlugInStatus,
  stages: [{ name: 'plug' }],
  unkept: 'a pod that dies measures everything anew',
  references,
  // Never private rows.
  reads: (_, spec) => [
    model('spec.model', spec.model),
    ...references(spec),
    ...(spec.evaluation?.tasks ?? []).map(({ data }, i) =>
      rows('task', `spec.evaluation.tasks[${i}].data`, data),
    ),
  ],
  results: {
    fields: ['evaluation', 'gates', 'merge', 'analysis', 'aggregate', 'parties'],
    always: ['evaluation', 'gates'],
    // Neither the gates' tolerances nor what became of the full model's weights.
    shown: () => ['evaluation', 'analysis', 'aggregate', 'parties'],
  },
  example: `apiVersion: offsite-tuning.dev/v1alpha1
kind: PlugIn
metadata: {name: words}
spec:
  model: {uri: "pvc://models/smollm2"}
  emulator: {ref: {name: words}}
  adapter: {ref: {name: words}}
  evaluation:
    tasks: [{name: words, data: {uri: "pvc://data/test.jsonl"}, format: multipleChoice, limit: 300}]
  gates: {plugInAboveFullZeroShot: {tolerance: "0"}, plugInAboveEmulatorFineTuned: {tolerance: "0"}}
  output: {uri: "pvc://artifacts/words-model", save: model}`,
});
