// A short training of the blocks that are not exact, before the bundle is sealed.
import { badSpec } from '../../api/index.ts';
import { checkpointsOf, identityOf, inPlace, type Keeper } from '../../artifact/index.ts';
import { checkTargets, type Example, hasTargets, type PackedBatch, tokenCount } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { Decoder, forTraining, type Model, weightsOf, withReplaced } from '../../model/index.ts';
import { type Emit, progressOf } from '../../progress/index.ts';
import { learningRateFactor, type Objective, trainBlocks, trainedBlocks } from '../../training/index.ts';
import { type Layout, placedBlocks } from '../plan/layout.ts';
import type { Plan } from '../plan/plan.ts';
import { distillation, elevation } from './losses.ts';
import { taughtLayer, taughtLikelihoods, taughtStates } from './teacher.ts';

export interface RefineOptions {
  readonly type: 'distil' | 'elevate';
  readonly steps: number;
  /** Rows of a step. */
  readonly batchSize: number;
  /** Decimals as the spec has them. */
  readonly learningRate?: string | undefined;
  readonly lmWeight?: string | undefined;
  readonly kdWeight?: string | undefined;
  readonly margin?: string | undefined;
  readonly seed: number;
}

/** lm and kd as published (arXiv 2302.04870), the margin too (ACL Findings 2026.1878: a larger one leaks no less). */
const defaults = { lmWeight: '1.0', kdWeight: '30', margin: '4' };
/** Of distilling as published; elevating has hundreds of steps here where LLEOT has a corpus at 2e-6. */
const learningRates = { distil: '1e-4', elevate: '1e-5' };

/** Tensors of a bundle that are not the full model's, by their names: float32, before they are rounded to what is stored. */
export interface Tensors {
  readonly names: ReadonlySet<string>;
  read(name: string): Float32Array;
}

export interface RefineInput {
  readonly model: Model;
  readonly plan: Plan;
  readonly layout: Layout;
  readonly derived: Tensors;
  /** Tokenised rows, with the answers' tokens as targets. */
  readonly examples: readonly Example[];
  /** A directory of this resource alone. */
  readonly own: string;
  /** All that the derived tensors and the rows depend on. */
  readonly madeFrom: Readonly<Record<string, string>>;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** Bytes for weights, moments, residuals and hidden states. */
  readonly memory: number;
  readonly keeper?: Keeper | undefined;
  readonly checkUnchanged: () => void;
  readonly emit: Emit;
}

/** Shares of the memory; the full model streams in what is left of it. */
const shares = { trained: 3 / 4, frozen: 1 / 8 };
/** As offsite-tuning's code does. */
const clipNorm = 1;
const checkpointSteps = 50;
/** A tenth of the steps; the paper's 2000 of a run through a corpus are more than there are here. */
const warmupShare = 0.1;

/**
 * Trains every tensor of the blocks that are not exact, as the full model teaches on the rows, and goes on from what was saved
 * of the same work.
 * @returns the bundle's tensors that are not the full model's, with their trained values
 * @throws OffsiteError BadSpec where no block may train, or memory is too small; BadData where no row has anything to predict; Cancelled
 */
export async function refine(engine: Engine, input: RefineInput, options: RefineOptions): Promise<Tensors> {
  const { model, plan, layout, derived, memory, keeper = inPlace } = input;
  const { architecture } = model;
  const positions = layout.positions.flatMap(({ block }, position) =>
    layout.blocks[block]!.shape === undefined ? [] : [position],
  );
  if (positions.length === 0)
    throw badSpec('spec.refine: every block of this emulator is exact, and exact blocks stay as they are');
  const examples = input.examples.filter(hasTargets);
  checkTargets(examples, 'spec.refine: the probe set');

  const source = weightsOf(model, {
    blocks: placedBlocks(architecture, layout),
    overlay: {
      has: (name) => derived.names.has(name),
      get: (name) => (derived.names.has(name) ? derived.read(name) : undefined),
    },
    memory: memory * shares.frozen,
  });
  const { steps, batchSize, seed } = options;
  const {
    parts,
    plan: trainingPlan,
    bytes,
  } = trainedBlocks(source, architecture, positions, {
    ...{ examples, batchSize, memory: memory * shares.trained, field: 'spec.refine' },
  });
  const full = new Decoder(
    engine,
    architecture,
    weightsOf(model, { memory: memory * (1 - shares.frozen) - bytes }),
  );
  const warmup = Math.ceil(steps * warmupShare);
  const tokens = Math.round(
    (examples.reduce((sum, example) => sum + tokenCount(example), 0) / examples.length) * batchSize,
  );
  const state = await trainBlocks({
    ...{ engine, parts, examples, plan: trainingPlan, batchSize, seed, keeper, clipNorm, checkpointSteps },
    decoder: new Decoder(engine, architecture, withReplaced(source, parts), forTraining),
    objective: objectiveOf(options, full, { last: positions.at(-1)!, plan }),
    learningRate: (step) =>
      Number(options.learningRate ?? learningRates[options.type]) *
      learningRateFactor('cosine', step, steps, warmup),
    rateField: 'spec.refine.learningRate',
    stops: [steps],
    checkpoints: checkpointsOf(input.own),
    identity: identityOf({
      madeFrom: input.madeFrom,
      hyperparameters: { ...input.hyperparameters, refine: options, trainingPlan },
    }),
    checkUnchanged: input.checkUnchanged,
    emit: input.emit,
    progressFrom(done) {
      const progress = progressOf('assemble: refine', steps, input.emit, done);
      const cost = [
        { name: 'steps', value: String(steps) },
        { name: 'tokensPerStep', value: String(tokens) },
      ];
      progress(0, cost);
      return (count, metrics = []) => progress(count, [...metrics, ...cost]);
    },
  });
  const trained = new Map(state.tensors.map(({ name, values }) => [name, values]));
  return {
    names: new Set([...derived.names, ...trained.keys()]),
    read: (name) => trained.get(name) ?? derived.read(name),
  };
}

/** @param last the last position that trains */
function objectiveOf(
  options: RefineOptions,
  full: Decoder,
  { last, plan }: { last: number; plan: Plan },
): (batches: readonly PackedBatch[]) => Promise<Objective> {
  switch (options.type) {
    case 'distil': {
      const { lmWeight = defaults.lmWeight, kdWeight = defaults.kdWeight } = options;
      const weights = { lm: Number(lmWeight), kd: Number(kdWeight) };
      const layer = taughtLayer(plan, last, full.depth);
      return async (batches) => distillation(weights, last, await taughtStates(full, batches, layer));
    }
    case 'elevate': {
      const margin = Number(options.margin ?? defaults.margin);
      return async (batches) => elevation(margin, await taughtLikelihoods(full, batches));
    }
  }
}
