// The kind that trains an adapter on an emulator with private rows: adapter type, data, training and their status.
import { z } from 'zod';
import { decimal, inOneSpelling, integer, matching } from '../fields.ts';
import { Engine, jobFields } from '../job.ts';
import { canariesFit, Objective, objectiveFits } from '../objective.ts';
import { Audit, AuditStatus, hidesRows, Privacy, PrivacyStatus } from '../privacy.ts';
import { distinct, withClusterRule, withRules } from '../rules.ts';
import { Signers, signerRules } from '../signing.ts';
import { artifactFrom, artifactFromAny, Output, TrainingData } from '../sources.ts';
import { Cell, common, count, figure, name, ReadArtifact, words } from '../status.ts';
import { withoutFields } from '../without-fields.ts';
import { declare, wide } from './declare.ts';
import { artifact, rows, type Unchecked } from './inputs.ts';

const moduleName = matching(
  /^[A-Za-z0-9_]+$/,
  63,
  'must be the last part of a linear map\'s name, such as "q_proj"',
);

export const Adapter = withRules(
  z.strictObject({
    type: z
      .enum(['layers', 'lora', 'bottleneck', 'bitfit'], {
        error: 'must be layers, lora, bottleneck or bitfit',
      })
      .default('layers')
      .describe(
        "What is trained: the transfer layers themselves; lora: factors of a low-rank change of their linear maps, in PEFT's format; bottleneck: small modules inserted behind their attention and MLP; bitfit: their biases.",
      ),
    rank: integer(1, 1024).optional().describe('Of each change (lora only); 4 when absent.'),
    alpha: integer(1, 65536)
      .optional()
      .describe('A change counts alpha / rank times (lora only); 32 when absent.'),
    targetModules: distinct(z.array(moduleName).min(1).max(64))
      .optional()
      .describe(
        'The linear maps that change, by the last part of their names, such as q_proj (lora only); all of a layer when absent.',
      ),
    dropout: decimal({ below: 1 }, '0.05')
      .optional()
      .describe(
        "The probability that an input of a change's factors is left out in training (lora only); 0 when absent.",
      ),
    size: integer(1, 65536)
      .optional()
      .describe('Width of a module between its two maps (bottleneck only); 64 when absent.'),
    head: z
      .boolean()
      .optional()
      .describe(
        'Whether the head is trained in full beside the rest; one that is tied to the embedding becomes a tensor of its own.',
      ),
  }),
  {
    holds: ({ type, rank, alpha, targetModules, dropout }) =>
      type === 'lora' || [rank, alpha, targetModules, dropout].every((field) => field === undefined),
    cel: "(has(self.type) && self.type == 'lora') || (!has(self.rank) && !has(self.alpha) && !has(self.targetModules) && !has(self.dropout))",
    message: 'has rank, alpha, targetModules and dropout for type lora only',
  },
  {
    holds: ({ type, size }) => type === 'bottleneck' || size === undefined,
    cel: "(has(self.type) && self.type == 'bottleneck') || !has(self.size)",
    message: 'has size for type bottleneck only',
  },
);

const beta = decimal({ below: 1 }, '0.9');

export const Training = withRules(
  z.strictObject({
    steps: integer(1, 10000000).optional().describe('Steps of the optimiser; this or epochs.'),
    epochs: integer(1, 10000).optional().describe('Passes over the data; this or steps.'),
    batchSize: integer(1, 65536).default(16).describe('Rows a step.'),
    microBatchSize: integer(1, 65536)
      .optional()
      .describe('Rows computed at once, their gradients added up to a step; all of batchSize when absent.'),
    learningRate: decimal({ above: 0 }, '1e-4').default('1e-4').describe('Peak learning rate of AdamW.'),
    schedule: z
      .enum(['constant', 'linear', 'cosine'])
      .default('cosine')
      .describe('The learning rate after the warm-up: constant, or falling to 0 at the last step.'),
    warmupSteps: integer(0, 10000000).default(0).describe('Steps over which the learning rate rises from 0.'),
    weightDecay: decimal({ atMost: 1 }, '0.01')
      .default('0')
      .describe(
        "AdamW's decoupled weight decay, of everything that is trained: of norms and biases too, which many recipes leave out.",
      ),
    betas: z.array(beta).length(2).default(['0.9', '0.999']).describe("AdamW's decay of both moments."),
    clipNorm: decimal({}, '1.0')
      .default('1.0')
      .describe('Largest norm of a step\'s gradient; "0" for no clipping.'),
    maxLength: integer(2, 131072)
      .default(512)
      .describe('Tokens of a row; a row whose answer would be cut is refused.'),
    evalSteps: integer(1, 10000000)
      .default(40)
      .describe('Steps between two evaluations on the validation rows.'),
    checkpointSteps: integer(1, 10000000)
      .default(20)
      .describe('Steps between two checkpoints; a killed run goes on from the last, to the same digest.'),
    seed: integer(0, 4294967295)
      .default(42)
      .describe("Seed of the rows' order, of what an adapter starts with, and of its dropout."),
  }),
  {
    holds: ({ steps, epochs }) => (steps === undefined) !== (epochs === undefined),
    cel: 'has(self.steps) != has(self.epochs)',
    message: 'must have either steps or epochs',
  },
  {
    holds: ({ batchSize, microBatchSize }) => !((microBatchSize ?? 1) > batchSize),
    cel: '!has(self.microBatchSize) || self.microBatchSize <= (has(self.batchSize) ? self.batchSize : 16)',
    message: 'must be at most batchSize (16 when it is not given)',
    path: ['microBatchSize'],
  },
  {
    holds: ({ steps, warmupSteps }) => !(warmupSteps > (steps ?? Number.POSITIVE_INFINITY)),
    cel: '!has(self.steps) || !has(self.warmupSteps) || self.warmupSteps <= self.steps',
    message: 'must be at most steps',
    path: ['warmupSteps'],
  },
);

const checkedSpec = withRules(
  z.strictObject({
    emulator: artifactFrom('EmulatorBuild').describe('The bundle to train on.'),
    start: artifactFromAny('OffsiteTune', 'PlugIn')
      .optional()
      .describe(
        'An adapter of the same bundle and of the same spec.adapter to go on from: that of an OffsiteTune, or of a PlugIn with save: adapter. Its values are the first ones, and the optimiser begins anew.',
      ),
    data: TrainingData.describe('The private rows; they never leave.'),
    adapter: Adapter.prefault({}).describe('What is trained and comes back.'),
    objective: Objective.optional().describe('What is lowered; type sft when absent.'),
    training: Training.describe('How it is trained.'),
    privacy: Privacy.optional().describe(
      'Trains with row-level differential privacy (docs/privacy.md); without when absent.',
    ),
    audit: Audit.optional().describe(
      'Measures what the tuned emulator tells of the rows (status.audit, the report; in no manifest).',
    ),
    signers: Signers,
    output: Output.describe('Where the adapter goes.'),
    engine: Engine,
    ...jobFields,
  }),
  objectiveFits,
  canariesFit,
  {
    holds: ({ data, audit }) => audit?.membership === undefined || data?.validation !== undefined,
    cel: '!has(self.audit) || !has(self.audit.membership) || has(self.data.validation)',
    message: 'must have rows in spec.data.validation to compare with, of the same source and not trained on',
    path: ['audit', 'membership'],
  },
  ...signerRules({ single: ['emulator', 'start'] }),
);

/** `offsite run` has a work place of its own. */
const OffsiteTuneSpec = withClusterRule(checkedSpec, {
  rule: "!has(self.privacy) || (has(self.privacy.epsilon) && self.privacy.epsilon == 'infinity') || has(self.work) || self.output.uri.startsWith('pvc:')",
  message:
    'must name a place that only its owner keeps, where spec.privacy hides rows and the output lies in a store: the key of the noise lies there until the adapter is stored',
  fieldPath: '.work',
});

export type OffsiteTuneSpec = z.output<typeof OffsiteTuneSpec>;

const OffsiteTuneStatus = z.object({
  ...common,
  inputs: z
    .object({ emulator: ReadArtifact, start: ReadArtifact })
    .optional()
    .describe('What the latest attempt reads, by digest.'),
  training: z
    .object({
      steps: count.optional().describe('Steps done.'),
      bestStep: count.optional().describe('The step whose weights the adapter holds.'),
      tokens: count.optional(),
      firstLoss: figure.optional(),
      lastLoss: figure.optional(),
      validationLoss: figure.optional(),
      unchanged: figure
        .optional()
        .describe(
          'With objective.l1: the share of what was trained that is as it was, or zero, in the adapter.',
        ),
      tokensPerSecond: figure.optional(),
      resumes: count.optional().describe('How often a killed run went on from a checkpoint.'),
      privacy: PrivacyStatus.optional().describe(
        'What row-level differential privacy the adapter was trained with.',
      ),
    })
    .optional(),
  keptIn: words
    .optional()
    .describe(
      'With spec.privacy: the work place in which this resource remembers its adapters, as it was when a pod first worked on one; later specs with privacy must have the same.',
    ),
  audit: AuditStatus.optional().describe('What attacks on the tuned emulator found of the private rows.'),
  validation: z
    .object({
      metric: name.describe(
        "The format's own; with objective.type dpo pair_acc, against the emulator before it was tuned, whose own is one half by definition.",
      ),
      samples: count,
      cells: z.object({ emulatorZeroShot: Cell, emulatorFineTuned: Cell }),
    })
    .optional()
    .describe(
      "The private cells, on the data owner's validation rows: of the step that was chosen on these very rows, so a little too good; for an unbiased figure hold rows back. With spec.start, emulatorZeroShot is of the emulator with the adapter that was gone on from.",
    ),
});
export type OffsiteTuneStatus = z.output<typeof OffsiteTuneStatus>;

const references = ({ emulator, start }: Unchecked) => [
  artifact({ role: 'emulator', field: 'spec.emulator', kind: 'EmulatorBuild' }, emulator),
  ...(start === undefined
    ? []
    : [artifact({ role: 'start', field: 'spec.start', kind: 'OffsiteTune', others: ['PlugIn'] }, start)]),
];

const hidesRowsBy = ({ training }: Readonly<Record<string, unknown>>) =>
  (training as OffsiteTuneStatus['training'])?.privacy !== undefined;

const withoutResult = ['training.checkpointSteps'];

/**
 * Where rows are hidden, of these fields hangs neither which are used how nor under which noise: each is computed by itself, clipped to the
 * norm of spec.privacy, and nothing is chosen. What is promised follows from the noise.
 */
const withoutRows = [
  ...['training.microBatchSize', 'training.evalSteps', 'training.clipNorm', 'engine'],
  ...['privacy.epsilon', 'privacy.delta'],
];

/** What is left of a spec that hides its rows, or of a part of it, where nothing counts but what is done with them; a number has one spelling. */
export const usesOfRows = (spec: object): unknown =>
  inOneSpelling(withoutFields(spec, new Set([...withoutResult, ...withoutRows])));

/** Of status.training.privacy, what the manifest promises. */
const promised = ['epsilon', 'delta', 'noiseMultiplier', 'clipNorm', 'samplingRate'];

export const offsiteTune = declare({
  kind: 'OffsiteTune',
  names: { plural: 'offsitetunes', singular: 'offsitetune', short: 'ot' },
  description: "Fine-tunes an emulator's transfer layers on private data; an adapter comes back.",
  party: 'dataOwner',
  columns: [wide('Emulator', '.spec.emulator.ref.name')],
  spec: OffsiteTuneSpec,
  status: OffsiteTuneStatus,
  withoutResult,
  stages: [{ name: 'tune' }],
  unkept: 'a pod that dies begins the training anew',
  mustKeep: ({ privacy }) =>
    hidesRows(privacy)
      ? 'under spec.privacy each pod would draw another noise, and who has two such adapters knows more of the rows than epsilon says'
      : undefined,
  references,
  // Never a model.
  reads: (_, spec) => [
    ...references(spec),
    rows('rows', 'spec.data', spec.data),
    ...(spec.data.validation ? [rows('validation', 'spec.data.validation', spec.data.validation)] : []),
  ],
  results: {
    fields: ['training', 'validation', 'audit'],
    always: ['training'],
    // Losses, counts and the audit are of the private rows; where the adapter hides them, the private cells too.
    shown: (result) => [
      ...['training.steps', 'training.bestStep'],
      ...(hidesRowsBy(result) ? promised.map((figure) => `training.privacy.${figure}`) : ['validation']),
    ],
    isOnce: hidesRowsBy,
  },
  example: `apiVersion: offsite-tuning.dev/v1alpha1
kind: OffsiteTune
metadata: {name: words}
spec:
  emulator: {ref: {name: words}}
  data: {uri: "pvc://data/train.jsonl", format: multipleChoice, validation: {uri: "pvc://data/validation.jsonl"}}
  training: {steps: 120, batchSize: 16, learningRate: "1e-4"}
  output: {uri: "pvc://artifacts/words-adapter"}`,
});
