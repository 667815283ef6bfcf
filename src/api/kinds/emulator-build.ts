// The kind that makes an emulator of a model: probe set, similarity, strategy and layers in, bundle and scores out.
import { z } from 'zod';
import { Auto, AutoFound } from '../auto.ts';
import { decimal, integer } from '../fields.ts';
import { Engine, jobFields } from '../job.ts';
import { distinct, withRules } from '../rules.ts';
import { DataSource, dataFormat, Output, Source } from '../sources.ts';
import { Cell, common, count, Estimate, figure, layers, name, words } from '../status.ts';
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

const Compression = withRules(
  z.strictObject({
    type: z
      .enum(['none', 'lowRank', 'width', 'quantize', 'laco'])
      .describe(
        "none: they stay the model's own, as without spec.compression; lowRank: each linear map becomes a product of two narrower ones, chosen by what the probe rows feed it; width: fewer heads (key/value heads with their query heads) and channels of the MLP; quantize: the weights of linear maps get fewer bits; laco: to each layer is added what the removed layers of its cluster differ by.",
      ),
    bits: integer(4, 8)
      .optional()
      .describe('4 or 8 bits a weight, and a scale for 64 of them (quantize only); 8 when absent.'),
    ratio: decimal({ above: 0, atMost: 1 }, '0.35')
      .optional()
      .describe(
        "The share of the linear maps' parameters that stays (lowRank and width only); 0.35 when absent.",
      ),
    ratios: z
      .enum(['uniform', 'loss'])
      .optional()
      .describe(
        'uniform: the same share of every map (when absent); loss: more of the maps that would lose more (lowRank only).',
      ),
    select: z
      .enum(['sigma', 'gradient'])
      .optional()
      .describe(
        "Which components of a map stay: sigma: those of the largest outputs (when absent); gradient: those that the adapter's gradient needs most, by GradOT's score (lowRank only).",
      ),
    score: z
      .enum(['flap', 'wanda', 'taylor', 'gradient'])
      .optional()
      .describe(
        "How heads and channels are chosen (width only). flap: by how much the map behind them varies with them, compared over all layers (when absent); within each layer wanda: by size of input and weight; taylor: by |w dL/dw|, summed; gradient: by GradOT's score.",
      ),
    refit: z
      .boolean()
      .optional()
      .describe(
        'Whether the maps behind heads and channels are fitted to what they gave before, from those that stay (width only); true when absent. What was left out gives its mean to their biases in any case.',
      ),
    lambda: decimal({}, '1')
      .optional()
      .describe(
        'How much a worse emulator counts against a truer gradient (select: gradient or score: gradient only); 1 when absent.',
      ),
  }),
  {
    holds: ({ type, ratio }) => ratio === undefined || type === 'lowRank' || type === 'width',
    cel: "!has(self.ratio) || self.type == 'lowRank' || self.type == 'width'",
    message: 'is only for type lowRank or width',
    path: ['ratio'],
  },
  {
    holds: ({ type, bits }) => bits === undefined || type === 'quantize',
    cel: "!has(self.bits) || self.type == 'quantize'",
    message: 'has bits for type quantize only',
    path: ['bits'],
  },
  {
    holds: ({ bits }) => bits === undefined || bits === 4 || bits === 8,
    cel: '!has(self.bits) || self.bits in [4, 8]',
    message: 'must be 4 or 8',
    path: ['bits'],
  },
  {
    holds: ({ type, ratios, select }) => type === 'lowRank' || (ratios === undefined && select === undefined),
    cel: "self.type == 'lowRank' || (!has(self.ratios) && !has(self.select))",
    message: 'has ratios and select for type lowRank only',
  },
  {
    holds: ({ type, score, refit }) => type === 'width' || (score === undefined && refit === undefined),
    cel: "self.type == 'width' || (!has(self.score) && !has(self.refit))",
    message: 'has score and refit for type width only',
  },
  {
    holds: ({ select, score, lambda }) =>
      lambda === undefined || select === 'gradient' || score === 'gradient',
    cel: "!has(self.lambda) || (has(self.select) && self.select == 'gradient') || (has(self.score) && self.score == 'gradient')",
    message: 'has lambda for select: gradient or score: gradient only',
    path: ['lambda'],
  },
);

const Refine = withRules(
  z.strictObject({
    type: z
      .enum(['distil', 'elevate'])
      .describe(
        "distil: the blocks that are not exact learn the probe's rows and the full model's hidden states (Offsite-Tuning's losses); elevate: they are trained until the emulator's loss is `margin` above the full model's (LLEOT).",
      ),
    steps: integer(1, 1000000)
      .default(200)
      .describe('Steps of the optimiser; each takes about one and a half times what a step of tuning does.'),
    batchSize: integer(1, 65536).default(16).describe('Rows of a step, of the probe set, in a seeded order.'),
    learningRate: decimal({ above: 0 }, '1e-4')
      .optional()
      .describe(
        "AdamW's, the highest of a warm-up and a cosine; when absent 1e-4 for distil and 1e-5 for elevate.",
      ),
    lmWeight: decimal({}, '1.0')
      .optional()
      .describe('distil only: what the loss of the rows counts; "1.0" when absent.'),
    kdWeight: decimal({}, '30')
      .optional()
      .describe(
        'distil only: what the relative squared distance of the hidden states counts; "30" when absent.',
      ),
    margin: decimal({ above: 0 }, '4')
      .optional()
      .describe("elevate only: how far above the full model's loss, in nats a token; 4 when absent."),
    seed: integer(0, 4294967295).default(42).describe('Of the order of the rows.'),
  }),
  {
    holds: ({ type, margin }) => margin === undefined || type === 'elevate',
    cel: "!has(self.margin) || self.type == 'elevate'",
    message: 'is only for type elevate: remove it, or write type: elevate',
    path: ['margin'],
  },
  {
    holds: ({ lmWeight, kdWeight }) => !(Number(lmWeight ?? 1) === 0 && Number(kdWeight ?? 1) === 0),
    cel: '!(has(self.lmWeight) && has(self.kdWeight) && double(self.lmWeight) == 0.0 && double(self.kdWeight) == 0.0)',
    message: 'must not have both lmWeight and kdWeight "0": nothing would be learnt',
  },
  ...(['lmWeight', 'kdWeight'] as const).map((field) => ({
    holds: (refine: { type: string; lmWeight?: string | undefined; kdWeight?: string | undefined }) =>
      refine[field] === undefined || refine.type === 'distil',
    cel: `!has(self.${field}) || self.type == 'distil'`,
    message: 'is only for type distil: remove it, or write type: distil',
    path: [field],
  })),
);

const Budgets = withRules(z.array(integer(1, 1000000000000)).length(3), {
  holds: (tokens) => tokens.every((count, i) => i === 0 || count > (tokens[i - 1] ?? 0)),
  cel: 'size(self) != 3 || (self[0] < self[1] && self[1] < self[2])',
  message: 'must rise',
});

const LeakTest = z.strictObject({
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

type Compression = NonNullable<EmulatorBuildSpec['compression']>;
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

const Leak = z.object({
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

const Recovery = z.object({
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
