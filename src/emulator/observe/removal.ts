// Greedy removal of layers by the loss without them (SLEB, arXiv 2402.09025).
import { badData, badModel } from '../../api/index.ts';
import type { PackedBatch } from '../../data/index.ts';
import { groupsWithin } from '../../evaluation/index.ts';
import { type Decoder, type States, score } from '../../model/index.ts';

/** One removal. */
export interface RemovalStep {
  /** The layer that went; absent while the losses are not all known. */
  removed?: number | undefined;
  /** By layer that was left out the summed loss in nats: of each batch while it is not known which layer goes, then of all. */
  losses: Record<string, number[]>;
}

export interface RemovalOptions {
  /** How many layers go. The first and the last stay. */
  readonly count: number;
  /** What is known from before, a removal each; grows. */
  readonly steps: RemovalStep[];
  /** Called when a layer's loss is known, and when a removal is. */
  readonly keep: (removal: 'going on' | 'done') => Promise<void>;
  /** Bytes that the batches in flight may take. */
  readonly memory: number;
  /** Told of every block run or already known; `removalBlocks` gives how many there are. */
  readonly progress: (blocks: number) => void;
}

/**
 * The layers in the order in which they go: again and again the one without which the loss over all targets is lowest, of
 * equal ones the lowest layer. What lies below a layer that is left out is run once for all of them.
 * @throws OffsiteError BadData where nothing is to be predicted, BadModel where a loss is not finite, Cancelled between blocks
 */
export async function removeGreedily(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  { count, steps, keep, memory, progress }: RemovalOptions,
): Promise<number[]> {
  if (count > 0 && batches.every(({ targets }) => targets.length === 0))
    throw badData('the probe set has no token to predict, so that no loss tells which layer to leave out');
  const removed: number[] = [];
  let left = Array.from({ length: decoder.depth }, (_, layer) => layer);
  for (let removal = 0; removal < count; removal++) {
    const step = stepOf(steps[removal], left);
    steps[removal] = step;
    const goes =
      step.removed ?? (await leastMissed(decoder, batches, left, { step, keep, memory, progress }));
    if (step.removed !== undefined) progress(blocksOf(left.length) * batches.length);
    else {
      step.removed = goes;
      await keep('done');
    }
    removed.push(goes);
    left = left.filter((layer) => layer !== goes);
  }
  return removed;
}

/** What is known of a removal, or nothing where it took away what is not there. */
function stepOf(known: RemovalStep | undefined, left: readonly number[]): RemovalStep {
  const { removed } = known ?? {};
  const fits = removed === undefined || left.slice(1, -1).includes(removed);
  return known !== undefined && fits ? known : { losses: {} };
}

/** How many blocks are run, over all batches, for the removal of `count` of `depth` layers. */
export function removalBlocks(depth: number, count: number, batches: number): number {
  let blocks = 0;
  for (let left = depth; left > depth - count; left--) blocks += blocksOf(left);
  return blocks * batches;
}

/** For one removal: without each layer all behind it are run, and what lies below the last of them once more. */
const blocksOf = (left: number) => ((left - 2) * (left - 1)) / 2 + (left - 2);

/** Of the layers between the first and the last one that is left. */
async function leastMissed(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  left: readonly number[],
  { step, keep, memory, progress }: Omit<RemovalOptions, 'count' | 'steps'> & { step: RemovalStep },
): Promise<number> {
  const search = new Search(decoder, left, step.losses, { keep: () => keep('going on'), progress });
  let first = 0;
  for (const group of groupsWithin(memory, batches, decoder.config, 2)) {
    await search.run(group, first);
    first += group.length;
  }
  const totals = left.slice(1, -1).map((layer) => {
    const losses = step.losses[layer]!.slice(0, batches.length);
    return { layer, loss: losses.reduce((sum, loss) => sum + loss, 0) };
  });
  step.losses = Object.fromEntries(totals.map(({ layer, loss }) => [layer, [loss]]));
  return totals.reduce((best, one) => (one.loss < best.loss ? one : best)).layer;
}

/** One removal: the loss without each of the layers that are left. */
class Search {
  readonly #decoder: Decoder;
  readonly #left: readonly number[];
  readonly #losses: RemovalStep['losses'];
  readonly #told: { keep: () => Promise<void>; progress: (blocks: number) => void };

  constructor(
    decoder: Decoder,
    left: readonly number[],
    losses: RemovalStep['losses'],
    told: { keep: () => Promise<void>; progress: (blocks: number) => void },
  ) {
    this.#decoder = decoder;
    this.#left = left;
    this.#losses = losses;
    this.#told = told;
  }

  /** @param first the number of the group's first batch */
  async run(group: readonly PackedBatch[], first: number): Promise<void> {
    const left = this.#left;
    const between = left.slice(1, -1);
    const unknown = between.filter((layer) => group.some((_, i) => !this.#isKnown(layer, first + i)));
    let states: States[] = [];
    if (unknown.length > 0) for (const batch of group) states.push(await this.#decoder.embed(batch));
    for (const [place, layer] of between.entries()) {
      const above = left.slice(place + 2);
      const goesOn = unknown.some((other) => other >= layer);
      states = await this.#through(left.slice(place, place + 1), states, group, goesOn);
      const isKnown = !unknown.includes(layer);
      const ends = await this.#through(above, states, group, !isKnown);
      if (isKnown) continue;
      const losses = this.#losses[layer] ?? [];
      for (const [i, batch] of group.entries())
        losses[first + i] = await this.#lossOf(layer, batch, ends[i]!);
      this.#losses[layer] = losses;
      await this.#told.keep();
    }
  }

  #isKnown = (layer: number, batch: number): boolean => this.#losses[layer]?.[batch] !== undefined;

  /** The states behind some layers; where they are known to be of no use, only the progress of it. */
  async #through(
    layers: readonly number[],
    states: readonly States[],
    group: readonly PackedBatch[],
    needed: boolean,
  ): Promise<States[]> {
    const after = [...states];
    for (const layer of layers)
      for (const [i, batch] of group.entries()) {
        if (needed) after[i] = await this.#decoder.forward([layer], after[i]!, batch);
        this.#told.progress(1);
      }
    return after;
  }

  async #lossOf(layer: number, { targets }: PackedBatch, hidden: States): Promise<number> {
    const scores = await this.#decoder.head(hidden, targets, score);
    const loss = scores.reduce((sum, value) => sum - value, 0);
    if (!Number.isFinite(loss))
      throw badModel(`without layer ${layer} the model's loss is not finite; check its weights`);
    return loss;
  }
}
