// The kind that makes an emulator of a model: probe set, similarity, strategy and layers in, bundle and scores out.
import { z } from 'zod';
import { Auto, AutoFound } from '../auto.ts';
import { Compression, Refine } from '../compression.ts';
import { decimal, integer } from '../fields.ts';
import { Engine, jobFields } from '../job.ts';
import { Leak, LeakTest, Recovery } from '../leak.ts';
import { distinct, withRules } from '../rules.ts';
import { DataSource, Output, Source } from '../sources.ts';
import { Cell, common, count, figure, layers, name, words } from '../status.ts';
import { declare, wide } from './declare.ts';
import { model, rows } from './inputs.ts';

const Probe = z.strictObject({
  data: DataSource.describe('The probe set, in the order of the file.'),
  samples: integer(2, 65536)
    .default(512)
    .describe(
      'How many of its first rows are run through the model; comparing them takes memory by the square of their number.',
    ),
  maxLength: integer(2, 131072).default(512).describe('Tokens after which a row is cut.'),
  pooling: z
    .enum(['mean', 'meanWeighted', 'last', 'first', 'max', 'min'])
    .default('mean')
    .describe("How a row's states become one vector a layer."),
  skipFirst: z
    .boolean()
    .default(false)
    .describe("Leaves out each row's first token, whose huge activations rule the states of today's models."),
  seed: integer(0, 4294967295)
    .default(42)
    .describe('Kept with the states; rows are taken in order, none is drawn.'),
  shards: integer(1, 64)
    .default(1)
    .describe('Pods that share the rows; the result is the same for any number.'),
});

const Similarity = withRules(
  z.strictObject({
    metric: z
      .enum(['linearCKA', 'rbfCKA', 'cosine', 'angular'])
      .default('linearCKA')
      .describe('How similar two layers are.'),
    threshold: decimal({ above: 0 }, '1.0')
      .optional()
      .describe('rbfCKA only: the bandwidth as a multiple of the median distance; "1.0" when absent.'),
  }),
  {
    holds: ({ metric, threshold }) => threshold === undefined || metric === 'rbfCKA',
    cel: "!has(self.threshold) || (has(self.metric) && self.metric == 'rbfCKA')",
    message: 'is only for metric rbfCKA: remove it, or write metric: rbfCKA',
    path: ['threshold'],
  },
);

const mostLayers = 1024;
/** What a spec that says neither means. */
const transferDefault = 4;
const strategyDefault = 'crash';

const TransferLayers = withRules(
  z.strictObject({
    count: integer(0, mostLayers)
      .optional()
      .describe(
        'How many of the kept layers; 0: none, and LoRA sits beside the linear maps of every kept layer instead.',
      ),
    placement: z
      .enum(['spread', 'ends', 'top'])
      .optional()
      .describe(
        'Which ones count takes. spread (when absent): over the depth, with both ends; ends: the first half from the bottom, the other from the top; top: the last ones.',
      ),
    layers: distinct(
      z
        .array(integer(0, mostLayers - 1))
        .min(1)
        .max(mostLayers),
    )
      .optional()
      .describe('Or which of the kept layers, counted from 0.'),
  }),
  {
    holds: ({ count, layers }) => (count === undefined) !== (layers === undefined),
    cel: 'has(self.count) != has(self.layers)',
    message: 'must have either count (how many of the kept layers) or layers (which of them)',
  },
  {
    holds: ({ count, placement }) => placement === undefined || (count !== undefined && count !== 0),
    cel: '!has(self.placement) || (has(self.count) && self.count > 0)',
    message: 'is only for a count above 0: remove it, or write count',
    path: ['placement'],
  },
);

/** Rows beyond these make no error smaller that matters, and each is drawn a thousand times. */
const mostLeakRows = 10000;

const Evaluation = withRules(
  z.strictObject({
    limit: integer(0, 1000000)
      .default(200)
      .describe(
        'Rows of the probe set, after the first `samples`, that score model and emulator; 0 for no scores.',
      ),
    leak: z
      .boolean()
      .optional()
      .describe(
        'Measures also what the bundle gives away before anybody tunes it (status.scores.leak), which takes one more pass over these rows: a model of the same shape with random weights. Without it the bundle is the same, but for its scores.',
      ),
  }),
  {
    holds: ({ limit, leak }) => leak !== true || (limit >= 2 && limit <= mostLeakRows),
    cel: `!has(self.leak) || !self.leak || !has(self.limit) || (self.limit >= 2 && self.limit <= ${mostLeakRows})`,
    message: `must be 2 to ${mostLeakRows} where leak is true`,
    path: ['limit'],
  },
);

const EmulatorBuildSpec = withRules(
  z.strictObject({
    model: Source.describe('The full model; it is only read here and never leaves.'),
    probe: Probe.describe('What is run through the model to see which layers do alike.'),
    similarity: Similarity.prefault({}).describe('How layers are compared.'),
    strategy: z
      .enum(['crash', 'uniform', 'angular', 'sleb', 'none'])
      .optional()
      .describe(
        'crash (when absent): clusters of similar layers, the middle of each stays; uniform: evenly spaced layers; angular: those that turn the hidden states most (block influence); sleb: again and again the layer goes without which the loss on the probe rows is lowest, never the first or the last (many passes); none: no layer is removed.',
      ),
    auto: Auto.optional().describe(
      'Finds strategy, layers, compression and, unless given, transferLayers, in the place of these fields (status.auto).',
    ),
    layers: integer(1, mostLayers)
      .optional()
      .describe("How many of the model's layers the emulator keeps (K); for every strategy but none."),
    compression: Compression.optional().describe(
      "What the kept layers become that the data owner does not train; when absent they are the model's own.",
    ),
    refine: Refine.optional().describe(
      'Trains the blocks that are not exact before the bundle is sealed; when absent they stay as they were derived.',
    ),
    sharing: z
      .enum(['nearest', 'cluster', 'none'])
      .default('nearest')
      .describe(
        "What a removed position runs: the nearest kept layer's weights, those of its cluster's, or nothing (a shallow emulator).",
      ),
    transferLayers: TransferLayers.optional().describe(
      `The kept layers that the data owner trains; they are in the bundle as they are in the model. {count: ${transferDefault}} when absent.`,
    ),
    evaluation: Evaluation.prefault({}).describe('How model and emulator are scored.'),
    leakTest: LeakTest.optional().describe(
      'Measures, before the bundle is sealed, how many tokens of tuning give its emulator half of the ability that the model has over a random control (status.scores.leakTest); it takes as long as both trainings.',
    ),
    output: Output.describe('Where the bundle goes.'),
    engine: Engine,
    ...jobFields,
  }),
  ...(['strategy', 'compression', 'layers'] as const).map((field) => ({
    holds: (spec: { auto?: unknown; strategy?: unknown; compression?: unknown; layers?: unknown }) =>
      spec.auto === undefined || spec[field] === undefined,
    cel: `!has(self.auto) || !has(self.${field})`,
    message: 'is found by spec.auto: remove it, or remove auto',
    path: [field],
  })),
  {
    holds: ({ auto, strategy, layers }) =>
      auto !== undefined || (strategy === 'none') === (layers === undefined),
    cel: "has(self.auto) || (has(self.strategy) && self.strategy == 'none') != has(self.layers)",
    message: 'must say how many layers are kept, for every strategy but none, which removes no layer',
    path: ['layers'],
  },
  {
    holds: ({ leakTest, evaluation }) =>
      leakTest === undefined || leakTest.task !== undefined || evaluation.limit >= 2,
    cel: '!has(self.leakTest) || has(self.leakTest.task) || !has(self.evaluation) || !has(self.evaluation.limit) || self.evaluation.limit >= 2',
    message: 'needs rows to measure on: add task, or let spec.evaluation.limit be 2 or more',
    path: ['leakTest'],
  },
  {
    holds: ({ refine, compression, auto }) =>
      refine === undefined ||
      auto !== undefined ||
      (compression !== undefined && compression.type !== 'none'),
    cel: "!has(self.refine) || has(self.auto) || (has(self.compression) && self.compression.type != 'none')",
    message: 'needs spec.compression: only blocks that are not exact are trained; add it, or remove refine',
    path: ['refine'],
  },
  {
    holds: ({ strategy, layers }) => strategy !== 'sleb' || layers !== 1,
    cel: "!has(self.strategy) || self.strategy != 'sleb' || !has(self.layers) || self.layers != 1",
    message: 'must be at least 2 for strategy sleb, which keeps the first and the last layer',
    path: ['layers'],
  },
  {
    holds: ({ layers, transferLayers }) =>
      !(
        (transferLayers === undefined
          ? transferDefault
          : (transferLayers?.count ?? transferLayers?.layers?.length ?? 1)) > (layers ?? mostLayers)
      ),
    cel: `!has(self.layers) || (!has(self.transferLayers) ? ${transferDefault} : has(self.transferLayers.count) ? self.transferLayers.count : has(self.transferLayers.layers) ? size(self.transferLayers.layers) : 1) <= self.layers`,
    message: `must name no more layers than spec.layers keeps (${transferDefault} when it is not given)`,
    path: ['transferLayers'],
  },
);

export type EmulatorBuildSpec = z.output<typeof EmulatorBuildSpec>;

type Compressed = Compression & { readonly type: Exclude<Compression['type'], 'none'> };

/** What makes the emulator of the model: what `auto` finds, and what a spec without it says. */
export interface Way {
  readonly strategy: NonNullable<EmulatorBuildSpec['strategy']>;
  readonly layers?: number | undefined;
  /** Absent where the kept layers stay as they are. */
  readonly compression?: Compressed | undefined;
  readonly transferLayers: NonNullable<EmulatorBuildSpec['transferLayers']>;
}

/** The way that a spec says; undefined where it is to be found. */
export function wayOf({
  auto,
  strategy,
  layers,
  compression,
  transferLayers,
}: EmulatorBuildSpec): Way | undefined {
  if (auto !== undefined) return undefined;
  return {
    strategy: strategy ?? strategyDefault,
    ...(layers === undefined ? {} : { layers }),
    ...(compression && isCompressed(compression) ? { compression } : {}),
    transferLayers: transferLayers ?? { count: transferDefault },
  };
}

const isCompressed = (compression: Compression): compression is Compressed => compression.type !== 'none';

const EmulatorBuildStatus = z.object({
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
  auto: AutoFound.optional().describe('What spec.auto chose, and of what.'),
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
      leak: Leak.optional().describe(
        'What the bundle gives away before anybody tunes it; where spec.evaluation.leak asks for it.',
      ),
      leakTest: Recovery.optional().describe(
        'What tuning makes of the emulator; where spec.leakTest asks for it.',
      ),
      reason: words.optional().describe('Why there are no scores.'),
    })
    .optional(),
});
export type EmulatorBuildStatus = z.output<typeof EmulatorBuildStatus>;

export const emulatorBuild = declare({
  kind: 'EmulatorBuild',
  names: { plural: 'emulatorbuilds', singular: 'emulatorbuild', short: 'eb' },
  description:
    "Derives an emulator from a model: a smaller, worse model whose transfer layers are the model's own.",
  party: 'modelOwner',
  columns: [
    wide('Model', '.spec.model.uri'),
    wide('Layers', '.spec.layers', 'integer'),
    wide('Bits kept', '.status.scores.leak.bitsKept.value'),
  ],
  spec: EmulatorBuildSpec,
  status: EmulatorBuildStatus,
  withoutResult: ['probe.shards'],
  stages: [{ name: 'probe', prepares: true, shards: ({ probe }) => probe.shards }, { name: 'assemble' }],
  unkept: 'the pooled states are computed by this one pod and not kept for another build',
  references: () => [],
  reads: (_, { model: full, probe, leakTest }) => [
    model('spec.model', full),
    rows('probe', 'spec.probe.data', probe.data),
    ...(leakTest ? [rows('leakData', 'spec.leakTest.data', leakTest.data)] : []),
    ...(leakTest?.task ? [rows('leakTask', 'spec.leakTest.task.data', leakTest.task.data)] : []),
  ],
  results: {
    fields: ['similarity', 'plan', 'auto', 'scores'],
    always: ['similarity', 'plan', 'scores'],
    // Not what was looked at on the way: the manifest has what was chosen alone.
    shown: () => ['similarity.adjacent', 'plan', 'scores'],
  },
  example: `apiVersion: offsite-tuning.dev/v1alpha1
kind: EmulatorBuild
metadata: {name: words}
spec:
  model: {uri: "pvc://models/smollm2"}
  probe: {data: {uri: "pvc://data/probe.jsonl", format: text}, samples: 512, skipFirst: true}
  strategy: crash
  layers: 24
  sharing: none
  transferLayers: {count: 4}
  output: {uri: "pvc://artifacts/words-emulator"}`,
});
