// What the looks at full model and candidates say: bits kept, and how well gradients agree at the start and after some steps.
import { badData, badSpec } from '../../api/index.ts';
import { canonicalJson } from '../../artifact/index.ts';
import type { Targets } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { bootstrap } from '../../evaluation/index.ts';
import { exactBlocks, type Model, type Overlay, type WeightSource, weightsOf } from '../../model/index.ts';
import { adamW } from '../../training/index.ts';
import { shareOfGain } from '../leak/ability.ts';
import { unigramOf } from '../leak/unigram.ts';
import { type Layout, placedBlocks, type Shapes } from '../plan/layout.ts';
import { trainedLayers } from '../plan/plan.ts';
import { type BitsKept, type Figures, leastBits } from './choose.ts';
import type { NestedFactors } from './factors.ts';
import type { KeptFigures } from './kept.ts';
import { type Look, type Looked, type Losses, lookAt, lossesOf } from './look.ts';
import type { Planned } from './planned.ts';
import { cosine, type Gradient, type LayerProbes, layerProbes } from './probes.ts';
import type { Rows } from './rows.ts';

export interface MeasureInput {
  readonly rows: Rows;
  /** Those that are looked at. */
  readonly candidates: readonly Planned[];
  /** Derived where a candidate needs them; undefined where none does. */
  readonly factors: () => Promise<NestedFactors | undefined>;
  readonly kept: KeptFigures<'auto'>;
  /** Bytes for weights and states. */
  readonly memory: number;
  /** Told of passes over the probe's rows that were done. */
  readonly progress: (passes: number) => void;
}

/** Of the full model's own training before the second look. */
const steps = 4;
const learningRate = 2e-3;
const adam = { betas: [0.9, 0.999], weightDecay: 0 } as const;
/** Of the memory, what a model's weights may take; the rest is for states. */
const shareOfWeights = 1 / 4;

/**
 * The figures of each candidate, in their order; those that are kept from before are not measured again.
 * @throws OffsiteError BadData where the full model is no better than the unigram model, so that no share of it can be told; Cancelled
 */
export async function measure(engine: Engine, model: Model, input: MeasureInput): Promise<Figures[]> {
  const { rows, candidates, kept, progress } = input;
  const found = candidates.map((candidate) => kept.of(keyOf(candidate)));
  if (found.every((figures) => figures !== undefined)) return found;
  const factors = await input.factors();
  const full = await lookAtFull(engine, model, input);
  for (const [i, candidate] of candidates.entries()) {
    if (found[i] === undefined) {
      found[i] = await figuresOf(engine, model, { candidate, factors, full }, input);
      await kept.add(keyOf(candidate), found[i]);
    }
    progress(rows.passes.of(candidate));
  }
  return found as Figures[];
}

const keyOf = ({ way }: Planned) => canonicalJson(way);

/** What would be sealed: its layout, and the tensors that are not the full model's as whoever reads the bundle has them. */
export interface Sealable {
  readonly layout: Layout;
  readonly tensors: Overlay;
}

/**
 * The bits that what would be sealed keeps: the measure of the first look at candidates, on the same rows.
 * @throws OffsiteError BadSpec where it computes no number on them, so that none can be held against a budget; Cancelled
 */
export async function measureSealed(
  engine: Engine,
  model: Model,
  { layout, tensors }: Sealable,
  { rows, memory }: Pick<MeasureInput, 'rows' | 'memory'>,
): Promise<BitsKept> {
  const { architecture } = model;
  const { looked: examples, training: plan } = rows;
  const heard = (source: WeightSource) => lossesOf(engine, source, { architecture, examples, plan });
  const full = await heard(fullWeights(model, memory));
  const own = await heard(
    weightsOf(model, {
      blocks: placedBlocks(architecture, layout),
      overlay: tensors,
      memory: memory * shareOfWeights,
    }),
  );
  if ([...own.losses.values()].some(Number.isNaN))
    throw badSpec(
      'spec.auto: what would be sealed computes no number on rows of the probe, so that no leak can be told: some of its weights may be beyond what the number format of the bundle holds',
    );
  return bitsKept({ start: full, unigram: unigramLosses(rows, model, full) }, own);
}

/** The full model's two looks. */
interface Full {
  readonly start: Look;
  readonly later: Gradient;
  /** The modules at the start, and as they were trained. */
  readonly probes: { readonly start: readonly LayerProbes[]; readonly later: readonly LayerProbes[] };
  /** Of each row the negative log-likelihood by the unigram model, in nats. */
  readonly unigram: ReadonlyMap<number, number>;
}

async function lookAtFull(
  engine: Engine,
  model: Model,
  { rows, memory, progress }: MeasureInput,
): Promise<Full> {
  const { looked, training, passes } = rows;
  const { architecture } = model;
  const layers = Array.from({ length: architecture.depth }, (_, layer) => layer);
  const source = fullWeights(model, memory);
  const full: Looked = { source, places: new Map(layers.map((layer) => [layer, layer])), trained: layers };
  const at = (probes: readonly LayerProbes[], examples = looked) =>
    lookAt(engine, full, probes, { architecture, examples, plan: training });
  const probes = { start: layerProbes(architecture), later: layerProbes(architecture) };
  const start = await at(probes.start);
  const unigram = unigramLosses(rows, model, start);
  if (sum(start.losses) >= sum(unigram))
    throw badData(
      `spec.auto: on ${looked.length} rows of the probe the model is no better than a unigram model of the others, so that no leak can be told; use a probe set of what the model knows, or more of it`,
    );
  await train(probes.later, (step) => at(probes.later, halfOf(looked, step)));
  const later = await at(probes.later);
  progress(passes.full);
  return { start, later: later.gradient, probes, unigram };
}

const fullWeights = (model: Model, memory: number): WeightSource =>
  weightsOf(model, {
    blocks: exactBlocks(
      model.architecture,
      Array.from({ length: model.architecture.depth }, (_, layer) => layer),
    ),
    memory: memory * shareOfWeights,
  });

/** Of each row that is looked at the negative log-likelihood by the unigram model of the others. */
function unigramLosses({ others }: Rows, { architecture }: Model, { targets }: Losses): Map<number, number> {
  const ofToken = unigramOf(tokensOf(others.map(({ targets }) => targets)), architecture.vocabulary);
  const unigram = new Map<number, number>();
  for (const ofBatch of targets)
    for (const { row, token } of ofBatch) unigram.set(row, (unigram.get(row) ?? 0) + ofToken(token));
  return unigram;
}

function* tokensOf(targets: readonly Targets[]): Generator<number> {
  for (const ofBatch of targets) for (const { token } of ofBatch) yield token;
}

/** Every other row; all of them where there is only one. */
const halfOf = <T>(rows: readonly T[], step: number): readonly T[] =>
  rows.length < 2 ? rows : rows.filter((_, place) => place % 2 === step % 2);

/** A few steps of AdamW on the modules' Bs, in place. */
async function train(probes: readonly LayerProbes[], look: (step: number) => Promise<Look>): Promise<void> {
  const moments = probes.map(({ weights, trained }) =>
    trained.map((slot) => {
      const zeros = () => new Float32Array(weights[slot]!.length);
      return { first: zeros(), second: zeros() };
    }),
  );
  for (let step = 0; step < steps; step++) {
    const { gradient } = await look(step);
    probes.forEach(({ weights, trained }, layer) => {
      trained.forEach((slot, i) => {
        const own = gradient.get(layer)![slot]!;
        adamW(weights[slot]!, own, moments[layer]![i]!, step + 1, learningRate, 1, adam);
      });
    });
  }
}

async function figuresOf(
  engine: Engine,
  model: Model,
  { candidate, factors, full }: { candidate: Planned; factors: NestedFactors | undefined; full: Full },
  { rows: { looked, training }, memory }: MeasureInput,
): Promise<Figures> {
  const { architecture } = model;
  const { layout, plan } = candidate;
  const source = weightsOf(model, {
    blocks: placedBlocks(architecture, layout),
    ...(factors && { overlay: factors.tensorsOf(shapesIn(candidate)) }),
    memory: memory * shareOfWeights,
  });
  const trained = trainedLayers(plan);
  const emulator: Looked = { source, places: ownPlaces(candidate), trained };
  const at = (probes: readonly LayerProbes[]) =>
    lookAt(engine, emulator, probes, { architecture, examples: looked, plan: training });
  const start = await at(full.probes.start);
  const later = await at(full.probes.later);
  return {
    bitsKept: bitsKept(full, start),
    agreement: cosine(later.gradient, full.later),
    agreementAtStart: cosine(start.gradient, full.start.gradient),
    agreementTrained: cosine(later.gradient, only(full.later, trained)),
  };
}

function bitsKept(
  { start, unigram }: { start: Losses; unigram: Full['unigram'] },
  emulator: Losses,
): BitsKept {
  const rows = [...start.losses].map(([row, loss]) => [loss, emulator.losses.get(row)!, unigram.get(row)!]);
  const share = ([full, own, nothing]: readonly number[]) =>
    shareOfGain({ full: -full!, emulator: -own!, nothing: -nothing! });
  const value = share([start.losses, emulator.losses, unigram].map(sum))!;
  const told = withoutOneOf(rows, share);
  const withoutOne = told === undefined ? {} : { withoutOne: Math.max(leastBits, told) };
  // An emulator may be surer of what is wrong than a float can say.
  if (!(value > leastBits)) return { value: leastBits, ...withoutOne };
  const stderr = bootstrap(rows, share)?.stderr;
  return { value, ...(stderr === undefined ? {} : { stderr }), ...withoutOne };
}

/** The largest share that there is without some one row; undefined where none has a meaning. */
export function withoutOneOf(
  rows: readonly (readonly number[])[],
  share: (sums: readonly number[]) => number | undefined,
): number | undefined {
  const shares = rows.flatMap((_, left) => {
    const others = rows.filter((_, place) => place !== left);
    const found = share([0, 1, 2].map((column) => others.reduce((sum, row) => sum + row[column]!, 0)));
    return found === undefined || Number.isNaN(found) ? [] : [found];
  });
  return shares.length === 0 ? undefined : Math.max(...shares);
}

/** A gradient of some layers alone. */
const only = (gradient: Gradient, layers: readonly number[]): Gradient =>
  new Map(layers.map((layer) => [layer, gradient.get(layer)!]));

/** The position of each kept layer that is its own and no copy's, by layer. */
function ownPlaces({ plan: { kept, source } }: Planned): ReadonlyMap<number, number> {
  const shallow = source.length === kept.length;
  return new Map(kept.map((layer) => [layer, shallow ? source.indexOf(layer) : layer]));
}

const shapesIn = ({ layout: { blocks } }: Planned): Shapes =>
  new Map(
    Object.values(blocks).flatMap(({ of, shape }) => (shape === undefined ? [] : [[of, shape] as const])),
  );

const sum = (values: ReadonlyMap<number, number>): number => [...values.values()].reduce((a, b) => a + b, 0);
