import { z } from 'zod';
import { integer } from './fields.ts';
import { distinct } from './rules.ts';

const figure = z.string().max(32);
const words = z.string().max(1024);
const name = z.string().max(64);
const time = z.iso.datetime({ offset: true }).max(40);
const count = integer(0, Number.MAX_SAFE_INTEGER);
const layer = integer(0, 1023);
const layers = z.array(layer).max(1024);

const Condition = z.object({
  type: name.describe('Suspended, Complete, Failed and others.'),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: name.describe('One word for scripts, such as BadData.'),
  message: z.string().max(32768).describe('What happened, which field or file, and what is right.'),
  lastTransitionTime: time.describe('When status last changed.'),
  observedGeneration: count.optional().describe('The generation of the spec that this is about.'),
});
export type Condition = z.output<typeof Condition>;

export const phases = ['Pending', 'Running', 'Suspended', 'Complete', 'Failed'] as const;

const Progress = z.object({
  stage: name.optional().describe('probe, assemble, tune or plug.'),
  progressPercentage: integer(0, 100).optional(),
  estimatedRemainingSeconds: count.optional(),
  metrics: distinct(z.array(z.object({ name, value: figure })).max(64), 'name')
    .optional()
    .describe('The latest figures, such as loss and tokensPerSecond.'),
  lastUpdatedTime: time.optional(),
});
export type Progress = z.output<typeof Progress>;

const Artifact = z.object({
  uri: words,
  digest: z.string().max(71).describe("sha256 of the artifact's manifest.json."),
  sizeBytes: count,
});
export type Artifact = z.output<typeof Artifact>;

const Input = z.object({ uri: words, digest: z.string().max(71) }).optional();

const Cell = z.object({ value: figure, stderr: figure.describe('Standard error.') });
export type Cell = z.output<typeof Cell>;

const common = {
  phase: z.enum(phases).optional().describe('A summary of the conditions for people.'),
  conditions: distinct(z.array(Condition).max(32), 'type').optional(),
  observedGeneration: count.optional().describe('The generation of the spec that this status is about.'),
  startTime: time.optional(),
  completionTime: time.optional(),
  stage: name.optional().describe('The stage that is under way, or that failed.'),
  attempt: count
    .optional()
    .describe('How often the work was started: again after a changed spec, a resumption or a lost result.'),
  specHash: name
    .optional()
    .describe("Of the result-relevant fields that the latest attempt is about; part of its Jobs' names."),
  progress: Progress.optional(),
  artifact: Artifact.optional().describe('What was made.'),
};

export const EmulatorBuildStatus = z.object({
  ...common,
  similarity: z
    .object({
      adjacent: z.array(figure).max(1024).describe('Entry j: the similarity of the layers j and j+1.'),
      doubts: words
        .optional()
        .describe('Why the similarities say little: equal rows in the probe set, or nothing but 0 and 1.'),
    })
    .optional(),
  plan: z
    .object({
      clusters: z.array(layers).max(1024).describe('All layers, one list a cluster.'),
      kept: layers,
      transferLayers: layers,
      source: layers.describe('Entry i: the layer whose weights position i runs.'),
    })
    .optional(),
  scores: z
    .object({
      metric: name.optional().describe('acc, exact_match or perplexity.'),
      samples: count.optional(),
      full: Cell.optional(),
      emulator: Cell.optional(),
      exactTensorShare: figure
        .optional()
        .describe("Share of the model's tensors that the bundle holds exactly."),
      cpl: figure.optional().describe("The emulator's quality as a share of the model's."),
      reason: words.optional().describe('Why there are no scores.'),
    })
    .optional(),
});
export type EmulatorBuildStatus = z.output<typeof EmulatorBuildStatus>;

export const OffsiteTuneStatus = z.object({
  ...common,
  inputs: z.object({ emulator: Input }).optional().describe('What the latest attempt reads, by digest.'),
  training: z
    .object({
      steps: count.optional().describe('Steps done.'),
      bestStep: count.optional().describe('The step whose weights the adapter holds.'),
      tokens: count.optional(),
      firstLoss: figure.optional(),
      lastLoss: figure.optional(),
      validationLoss: figure.optional(),
      tokensPerSecond: figure.optional(),
      resumes: count.optional().describe('How often a killed run went on from a checkpoint.'),
    })
    .optional(),
  validation: z
    .object({
      metric: name,
      samples: count,
      cells: z.object({ emulatorZeroShot: Cell, emulatorFineTuned: Cell }),
    })
    .optional()
    .describe(
      "The private cells, on the data owner's validation rows: of the step that was chosen on these very rows, so a little too good; for an unbiased figure hold rows back.",
    ),
});
export type OffsiteTuneStatus = z.output<typeof OffsiteTuneStatus>;

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
    .describe('Of two cells on the same rows, with the 95% interval of a paired bootstrap.'),
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
          'How far the loss between full model and plug-in rises above the straight line between theirs; 0 where it does not.',
        ),
    })
    .optional(),
  deleted: LayerChanges.optional().describe('With each layer skipped.'),
  rewound: LayerChanges.optional().describe("With each transfer layer set back to the full model's weights."),
});
export type AnalysisSummary = z.output<typeof AnalysisSummary>;

export const PlugInStatus = z.object({
  ...common,
  inputs: z
    .object({ emulator: Input, adapter: Input })
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
});
export type PlugInStatus = z.output<typeof PlugInStatus>;

export type Status = EmulatorBuildStatus | OffsiteTuneStatus | PlugInStatus;
