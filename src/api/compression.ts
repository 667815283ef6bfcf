// What becomes of the kept layers that the data owner does not train, and how they are trained for it.
import { z } from 'zod';
import { decimal, integer } from './fields.ts';
import { withRules } from './rules.ts';

export const Compression = withRules(
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
export type Compression = z.output<typeof Compression>;

export const Refine = withRules(
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
