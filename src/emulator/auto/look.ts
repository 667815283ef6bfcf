// One look at a model on some rows: what it loses on each, and the gradient of what would train.
import { type Example, packStep, type Targets } from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { Decoder, type Replacement, score, type WeightSource, withReplaced } from '../../model/index.ts';
import { crossEntropy, gradientStep, type Objective, type TrainingPlan } from '../../training/index.ts';
import type { Gradient, LayerProbes } from './probes.ts';

/** A model, and which of its positions is which layer's own place. */
export interface Looked {
  readonly source: WeightSource;
  /** By layer. */
  readonly places: ReadonlyMap<number, number>;
  /** The layers whose gradient is asked for. */
  readonly trained: readonly number[];
}

export interface Look {
  readonly gradient: Gradient;
  /** Of each row the summed negative log-likelihood of its targets, in nats. */
  readonly losses: ReadonlyMap<number, number>;
  /** What was to be predicted, by batch. */
  readonly targets: readonly Targets[];
}

/** Runs rows forward and backward with the probes beside every layer's own place. */
export async function lookAt(
  engine: Engine,
  { source, places, trained }: Looked,
  probes: readonly LayerProbes[],
  { architecture, examples, plan }: LookOptions,
): Promise<Look> {
  const beside = new Map<number, Replacement>(
    [...places].map(([layer, position]) => {
      const { slots, weights } = probes[layer]!;
      return [position, { weights, inserted: slots, beside: true }];
    }),
  );
  const decoder = new Decoder(engine, architecture, withReplaced(source, beside));
  const batches = packStep(examples, [...examples.keys()], plan.shape);
  const { objective, losses } = byRow();
  const positions = new Map(trained.map((layer) => [places.get(layer)!, probes[layer]!.trained]));
  const { recompute } = plan;
  const { gradients } = await gradientStep(decoder, batches, positions, { objective, recompute });
  const gradient = new Map(trained.map((layer) => [layer, gradients.get(places.get(layer)!)!]));
  return { gradient, losses, targets: batches.map(({ targets }) => targets) };
}

/** What a model loses on rows, and which targets these have. */
export type Losses = Pick<Look, 'losses' | 'targets'>;

/** Runs rows forward alone. */
export async function lossesOf(
  engine: Engine,
  source: WeightSource,
  { architecture, examples, plan }: LookOptions,
): Promise<Losses> {
  const decoder = new Decoder(engine, architecture, source);
  const batches = packStep(examples, [...examples.keys()], plan.shape);
  const losses = new Map<number, number>();
  for (const batch of batches) {
    let x = await decoder.embed(batch);
    for (const span of decoder.spans([])) {
      const before = x;
      x = await decoder.forward(span, before, batch);
      decoder.free(before);
    }
    addLosses(losses, batch.targets, await decoder.head(x, batch.targets, score));
    decoder.free(x);
    decoder.forget(batch);
  }
  return { losses, targets: batches.map(({ targets }) => targets) };
}

export interface LookOptions {
  readonly architecture: ConstructorParameters<typeof Decoder>[1];
  /** Rows that all have something to predict. */
  readonly examples: readonly Example[];
  readonly plan: TrainingPlan;
}

/** The mean negative log-likelihood, which also tells each row's. */
function byRow(): { objective: Objective; losses: Map<number, number> } {
  const losses = new Map<number, number>();
  let latest: Targets = [];
  return {
    losses,
    objective: {
      ...crossEntropy,
      weigh(targets, count) {
        latest = targets;
        return crossEntropy.weigh(targets, count);
      },
      loss(scores, count) {
        addLosses(losses, latest, scores);
        return crossEntropy.loss(scores, count);
      },
    },
  };
}

function addLosses(losses: Map<number, number>, targets: Targets, scores: Float32Array): void {
  targets.forEach(({ row }, i) => {
    losses.set(row, (losses.get(row) ?? 0) - scores[i]!);
  });
}
