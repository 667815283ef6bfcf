// Several adapters and how they become one: the parties of a PlugIn, the method with its options, and what the status says of each.
import { z } from 'zod';
import { decimal, integer } from './fields.ts';
import { type Rule, withRules } from './rules.ts';
import { artifactFields, artifactRules } from './sources.ts';
import { Cell, Estimate, figure, layer, name, words } from './status.ts';

export const mostParties = 64;

/** One of several adapters that came back, which a kind makes. */
export const partyAdapter = (kind: string) =>
  withRules(
    z.strictObject({
      ...artifactFields(kind),
      weight: decimal({ atMost: 1000000 }, '1.0')
        .optional()
        .describe(
          "How much this adapter counts against the others, which is the model owner's to say; 1 when absent. What an adapter claims of its rows counts nothing.",
        ),
    }),
    ...artifactRules(kind),
  );
export type PartyAdapter = z.output<ReturnType<typeof partyAdapter>>;

export const aggregationMethods = [
  'mean',
  'median',
  'trimmedMean',
  'geometricMedian',
  'krum',
  'multiKrum',
  'bulyan',
  'normClip',
  'lasa',
  'linear',
  'ties',
  'dareTies',
] as const;
export type AggregationMethod = (typeof aggregationMethods)[number];

/** Methods whose definition knows no weights. */
const unweighted: readonly AggregationMethod[] = ['median', 'trimmedMean', 'krum', 'bulyan'];

const options = z.strictObject({
  method: z
    .enum(aggregationMethods, { error: `must be ${aggregationMethods.join(', ')}` })
    .describe(
      'How several changes become one: mean (weighted); median, trimmedMean, geometricMedian, krum, multiKrum, bulyan, normClip, lasa: the same for parties of whom some may be attackers; linear: the weighted sum; ties, dareTies: merging of changes that were trained for different ends.',
    ),
  attackers: integer(0, 30)
    .optional()
    .describe(
      'Of how many adapters at most it is to withstand (krum, multiKrum and bulyan only, which need it).',
    ),
  keep: integer(1, mostParties)
    .optional()
    .describe('How many adapters are averaged (multiKrum only); all but the attackers when absent.'),
  trim: integer(1, 31)
    .optional()
    .describe(
      'How many of the highest and of the lowest values of each weight are left out (trimmedMean only, which needs it).',
    ),
  iterations: integer(1, 100)
    .optional()
    .describe(
      "Steps of Weiszfeld's algorithm from the mean (geometricMedian only); when absent as many as it takes. After a few the point is still near the mean where attackers are nearly half.",
    ),
  clipNorm: decimal({ above: 0 }, '1.0')
    .optional()
    .describe(
      'The norm to which longer changes are shortened (normClip only); the median of their norms when absent.',
    ),
  sparsity: decimal({ below: 1 }, '0.3')
    .optional()
    .describe(
      'The share of smallest changes that norms and signs are judged without (lasa only); 0.3 when absent.',
    ),
  normBound: decimal({ above: 0 }, '1.0')
    .optional()
    .describe("How far from the median a layer's norm may lie, in spreads (lasa only); 1.0 when absent."),
  signBound: decimal({ above: 0 }, '1.0')
    .optional()
    .describe("The same for the purity of a layer's signs (lasa only); 1.0 when absent."),
  spread: z
    .enum(['std', 'mad'], { error: 'must be std or mad' })
    .optional()
    .describe(
      'What a spread is (lasa only): std, the standard deviation, as published; mad, 1.4826 times the median absolute deviation, which few colluders cannot stretch; std when absent.',
    ),
  density: decimal({ above: 0, atMost: 1 }, '0.2')
    .optional()
    .describe(
      'The share of each change that is merged: of the largest (ties), or drawn at random and scaled up (dareTies); 0.2 when absent.',
    ),
  scale: decimal({ above: 0, atMost: 100 }, '1.0')
    .optional()
    .describe('How many times the merged change counts (ties and dareTies only); 1 when absent.'),
  seed: integer(0, 4294967295).optional().describe('Of what is drawn (dareTies only); 42 when absent.'),
  leaveOneOut: z
    .boolean()
    .optional()
    .describe('Whether the plug-in is also measured without each of the adapters in turn.'),
});

type Options = z.output<typeof options>;

const listed = (methods: readonly string[]) => methods.join(', ').replace(/, (?=\w+$)/, ' and ');

const inCel = (methods: readonly string[]) => `[${methods.map((method) => `'${method}'`).join(', ')}]`;

const only = (field: keyof Options, ...methods: AggregationMethod[]): Rule<Options> => ({
  holds: (value) => value[field] === undefined || methods.includes(value.method),
  cel: `!has(self.${field}) || self.method in ${inCel(methods)}`,
  message: `is for method ${listed(methods)} only`,
  path: [field],
});

const needed = (field: keyof Options, ...methods: AggregationMethod[]): Rule<Options> => ({
  holds: (value) => value[field] !== undefined || !methods.includes(value.method),
  cel: `has(self.${field}) || !(self.method in ${inCel(methods)})`,
  message: `is needed by method ${listed(methods)}`,
  path: [field],
});

export const Aggregation = withRules(
  options,
  only('attackers', 'krum', 'multiKrum', 'bulyan'),
  needed('attackers', 'krum', 'multiKrum', 'bulyan'),
  only('keep', 'multiKrum'),
  only('trim', 'trimmedMean'),
  needed('trim', 'trimmedMean'),
  only('iterations', 'geometricMedian'),
  only('clipNorm', 'normClip'),
  only('sparsity', 'lasa'),
  only('normBound', 'lasa'),
  only('signBound', 'lasa'),
  only('spread', 'lasa'),
  only('density', 'ties', 'dareTies'),
  only('scale', 'ties', 'dareTies'),
  only('seed', 'dareTies'),
);
export type Aggregation = z.output<typeof Aggregation>;

/** The part of a PlugIn's spec that the rules below are about; any of it may be wrong. */
interface Aggregating {
  readonly adapter?: unknown;
  readonly adapters?: readonly PartyAdapter[] | undefined;
  readonly aggregation?: Aggregation | undefined;
  readonly evaluation?: { readonly tasks: readonly unknown[] } | undefined;
}

/** The parties that a method must do with: one fewer where each is left out in turn. */
const fewest = ({ adapters, aggregation }: Aggregating): number =>
  Array.isArray(adapters) ? adapters.length - (aggregation?.leaveOneOut === true ? 1 : 0) : mostParties;

const fewestInCel =
  '(self.adapters.size() - (has(self.aggregation.leaveOneOut) && self.aggregation.leaveOneOut ? 1 : 0))';
const isGiven = 'has(self.adapters) && has(self.aggregation)';

const enough = (
  field: 'attackers' | 'trim' | 'keep',
  methods: readonly AggregationMethod[],
  { least, cel, message }: { least: (value: Aggregation) => number; cel: string; message: string },
): Rule<Aggregating> => ({
  holds: (value) =>
    value.aggregation?.[field] === undefined ||
    !methods.includes(value.aggregation.method) ||
    !(fewest(value) < least(value.aggregation)),
  cel: `!(${isGiven}) || !has(self.aggregation.${field}) || !(self.aggregation.method in ${inCel(methods)}) || ${fewestInCel} >= ${cel}`,
  message: `${message}; with leaveOneOut one more`,
  path: ['aggregation', field],
});

/** No two entries that share what `of` names. */
const unlike = (
  of: (adapter: PartyAdapter) => unknown,
  { has, same, message }: { has: string; same: string; message: string },
): Rule<Aggregating> => ({
  holds: ({ adapters }) => {
    if (!Array.isArray(adapters)) return true;
    const found = adapters.map((adapter) => of(adapter)).filter((value) => value !== undefined);
    return new Set(found).size === found.length;
  },
  cel: `!has(self.adapters) || self.adapters.all(a, !(${has.replaceAll('$', 'a')}) || self.adapters.filter(b, ${has.replaceAll('$', 'b')} && ${same}).size() == 1)`,
  message,
  path: ['adapters'],
});

/** Tasks times parties that are measured without one of them. */
const mostLeftOut = 256;

const isCounted = ({ weight }: PartyAdapter) => weight === undefined || Number(weight) > 0;

/** The rules of `spec.adapter`, `spec.adapters` and `spec.aggregation` together. */
export const aggregationRules: readonly Rule<Aggregating>[] = [
  {
    holds: ({ adapter, adapters }) => (adapter === undefined) !== (adapters === undefined),
    cel: 'has(self.adapter) != has(self.adapters)',
    message: 'must be given, or adapters in its place, and not both',
    path: ['adapter'],
  },
  {
    holds: ({ adapters, aggregation }) => (adapters === undefined) === (aggregation === undefined),
    cel: 'has(self.adapters) == has(self.aggregation)',
    message: 'is needed with adapters, and with nothing else',
    path: ['aggregation'],
  },
  unlike((adapter) => adapter?.ref?.name, {
    has: 'has($.ref)',
    same: 'b.ref.name == a.ref.name',
    message: 'must not refer to one resource twice',
  }),
  unlike((adapter) => adapter?.digest, {
    has: 'has($.digest)',
    same: 'b.digest == a.digest',
    message: 'must not have one digest twice',
  }),
  unlike((adapter) => adapter?.signer, {
    has: 'has($.signer)',
    same: 'b.signer == a.signer',
    message: 'must not have two adapters of one signer',
  }),
  {
    holds: ({ adapters, aggregation }) =>
      !Array.isArray(adapters) ||
      aggregation === undefined ||
      !unweighted.includes(aggregation.method) ||
      adapters.every((adapter) => adapter?.weight === undefined),
    cel: `!(${isGiven}) || !(self.aggregation.method in ${inCel(unweighted)}) || self.adapters.all(a, !has(a.weight))`,
    message: `must have no weights with method ${listed(unweighted)}`,
    path: ['adapters'],
  },
  {
    holds: (value) => {
      if (!Array.isArray(value.adapters)) return true;
      const leftOut = value.adapters.length - fewest(value);
      return value.adapters.filter((adapter) => adapter && isCounted(adapter)).length > leftOut;
    },
    cel: `!has(self.adapters) || self.adapters.filter(a, !has(a.weight) || double(a.weight) > 0.0).size() > (has(self.aggregation) && has(self.aggregation.leaveOneOut) && self.aggregation.leaveOneOut ? 1 : 0)`,
    message: 'must have a weight above 0, with leaveOneOut two of them',
    path: ['adapters'],
  },
  enough('attackers', ['krum', 'multiKrum'], {
    least: ({ attackers }) => 2 * (attackers as number) + 3,
    cel: '2 * self.aggregation.attackers + 3',
    message: 'needs 2 attackers + 3 adapters or more',
  }),
  enough('attackers', ['bulyan'], {
    least: ({ attackers }) => 4 * (attackers as number) + 3,
    cel: '4 * self.aggregation.attackers + 3',
    message: 'needs 4 attackers + 3 adapters or more',
  }),
  enough('trim', ['trimmedMean'], {
    least: ({ trim }) => 2 * (trim as number) + 1,
    cel: '2 * self.aggregation.trim + 1',
    message: 'needs 2 trim + 1 adapters or more',
  }),
  enough('keep', ['multiKrum'], {
    least: ({ keep, attackers = 0 }) => (keep as number) + attackers,
    cel: '(self.aggregation.keep + (has(self.aggregation.attackers) ? self.aggregation.attackers : 0))',
    message: 'needs keep + attackers adapters or more',
  }),
  {
    holds: ({ aggregation, evaluation }) => aggregation?.leaveOneOut !== true || evaluation !== undefined,
    cel: '!has(self.aggregation) || !has(self.aggregation.leaveOneOut) || !self.aggregation.leaveOneOut || has(self.evaluation)',
    message: 'needs spec.evaluation.tasks to be measured on: add it, or remove leaveOneOut',
    path: ['aggregation', 'leaveOneOut'],
  },
  {
    holds: ({ adapters, aggregation, evaluation }) =>
      aggregation?.leaveOneOut !== true ||
      !Array.isArray(adapters) ||
      !Array.isArray(evaluation?.tasks) ||
      adapters.length * evaluation.tasks.length <= mostLeftOut,
    cel: `!(${isGiven} && has(self.evaluation)) || !has(self.aggregation.leaveOneOut) || !self.aggregation.leaveOneOut || self.adapters.size() * self.evaluation.tasks.size() <= ${mostLeftOut}`,
    message: `is measured on at most ${mostLeftOut} pairs of an adapter and a task`,
    path: ['aggregation', 'leaveOneOut'],
  },
];

/** How many verdicts on layers a status holds of all parties together; the manifest and the report have all. */
export const mostLayersInStatus = 1024;

const LayerVerdict = z.object({
  layer: layer.optional().describe('Absent for the head.'),
  taken: z.boolean(),
  reason: z.string().max(256).optional().describe('Why it was left out, or how it was changed first.'),
  norm: figure.describe('Of the change that the adapter makes to the layer.'),
  distance: figure.describe('From the change that came of all.'),
  share: figure
    .optional()
    .describe(
      "The share of the layer's weights at which this adapter's value counted, where a method chooses by weight.",
    ),
});
export type LayerVerdict = z.output<typeof LayerVerdict>;

export const PartyVerdict = z.object({
  digest: z.string().max(71),
  adapter: words
    .optional()
    .describe('Which of spec.adapters it is: the name of its reference, else its address. In no manifest.'),
  signer: name.optional(),
  weight: figure,
  norm: figure.describe('Of its whole change.'),
  distance: figure.describe('From the change that came of all.'),
  taken: z.int().min(0).max(4096).describe('Of how many layers its change was taken.'),
  leftOut: z.int().min(0).max(4096).describe('Of how many it was left out.'),
  layers: z
    .array(LayerVerdict)
    .max(mostLayersInStatus)
    .describe('Those left out first; all of them are in the manifest and in the report.'),
  without: z
    .array(
      z.object({
        task: name,
        plugIn: Cell,
        difference: Estimate.describe('Plug-in less plug-in without this adapter, paired on the same rows.'),
      }),
    )
    .max(32)
    .optional()
    .describe('The plug-in without this adapter (leaveOneOut).'),
});
export type PartyVerdict = z.output<typeof PartyVerdict>;

/** What a party is called, where `i` says how many stand before it. */
export const partyName = ({ signer, adapter }: PartyVerdict, i: number): string =>
  signer ?? adapter ?? `adapter ${i + 1}`;

/** Who was left out, and of how much; nothing where nobody was. */
export function leftOutNote(parties: readonly PartyVerdict[] = []): string | undefined {
  const named = parties.flatMap((party, i) => {
    const { taken, leftOut } = party;
    return leftOut > 0 ? [`${partyName(party, i)} at ${leftOut} of ${taken + leftOut} layers`] : [];
  });
  const [shown, more] = [named.slice(0, mostNamed), named.length - mostNamed];
  if (named.length === 0) return undefined;
  return `left out: ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Of many parties the rest are in status.parties. */
const mostNamed = 4;

/** What became of all parties, in the order of their digests. */
export const partyVerdicts = z.array(PartyVerdict).max(mostParties);

export const Aggregate = z.object({
  method: name,
  norm: figure.describe('Of the change that came of all.'),
  rank: z.int().min(1).max(1024).optional().describe('Of the factors that it was written as.'),
  keptEnergy: figure
    .optional()
    .describe(
      'The share of its squared norm that these factors keep; what is measured is what they come to.',
    ),
  warning: words.optional(),
});
export type Aggregate = z.output<typeof Aggregate>;
