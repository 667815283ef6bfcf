// The pass over the probe's rows that observes: forward with the moments of inputs, then backward with those of gradients.
import type { PackedBatch } from '../../data/index.ts';
import type { Passage } from '../../evaluation/index.ts';
import type { Decoder, States } from '../../model/index.ts';
import { summedCosines } from './influence.ts';
import { includes, type ObservationName } from './observations.ts';
import { SummedLayers } from './summed-layers.ts';

export interface ObservingOptions {
  readonly observed: ObservationName;
  /** Where the sums go. */
  readonly directory: string;
  /** Of how many batches a layer's sums are all that there is, and are rounded; undefined where others have more. */
  readonly whole: number | undefined;
  /** Told of every block that was run backward; there are batches x positions of them. */
  readonly progress: (blocks: number) => void;
}

/**
 * Runs blocks and sums by layer what is observed of them. Where gradients are asked for, a group of batches keeps each
 * block's input, from which the backward pass runs the block again.
 */
export class ObservingPassage implements Passage {
  readonly states: number;
  readonly #decoder: Decoder;
  readonly #options: ObservingOptions;
  readonly #forward: SummedLayers;
  readonly #backward: SummedLayers;
  /** By position and batch. */
  readonly #inputs: Map<PackedBatch, States>[] = [];

  constructor(decoder: Decoder, options: ObservingOptions) {
    const { observed, directory, whole } = options;
    this.#decoder = decoder;
    this.#options = options;
    this.#forward = new SummedLayers(directory, 'forward', whole);
    this.#backward = new SummedLayers(directory, 'backward', whole);
    this.states = includes(observed, 'gradients') ? decoder.depth + 1 : 1;
  }

  async forward(position: number, x: States, batch: PackedBatch): Promise<States> {
    const decoder = this.#decoder;
    const { observed } = this.#options;
    const { y, sums } = includes(observed, 'inputs')
      ? await decoder.forwardObserving(position, x, batch)
      : { y: await decoder.forward([position], x, batch), sums: {} };
    const [before, after] = [await decoder.read(x), await decoder.read(y)];
    const cosine = [summedCosines(before, after, decoder.config.hidden, batch.rows)];
    this.#forward.add(position, countsOf(batch), { cosine, ...sums });
    if (includes(observed, 'gradients')) {
      this.#inputs[position] ??= new Map();
      this.#inputs[position].set(batch, x);
    } else decoder.free(x);
    return y;
  }

  async atEndOfGroup(batches: readonly PackedBatch[], last: readonly States[]): Promise<void> {
    this.#forward.flush();
    const dy = new Map<PackedBatch, States>();
    const backward = includes(this.#options.observed, 'gradients');
    for (const [i, batch] of batches.entries()) {
      if (backward) dy.set(batch, await this.#atHead(batch, last[i]!));
      this.#decoder.free(last[i]!);
    }
    if (!backward) return;
    for (let position = this.#decoder.depth - 1; position >= 0; position--) {
      for (const batch of batches) {
        const dx = await this.#back(position, dy.get(batch)!, batch);
        if (dx !== undefined) dy.set(batch, dx);
        this.#options.progress(1);
      }
      delete this.#inputs[position];
    }
    this.#backward.flush();
  }

  /** dL/d(last states), where L is the summed cross-entropy. */
  async #atHead({ targets }: PackedBatch, last: States): Promise<States> {
    const weights = new Float32Array(targets.length).fill(-1);
    return (await this.#decoder.headBackward(last, targets, weights)).dx;
  }

  async #back(position: number, dy: States, batch: PackedBatch): Promise<States | undefined> {
    const x = this.#inputs[position]!.get(batch)!;
    const wanted = { weights: false, input: position > 0, maps: true } as const;
    const { y, saved } = await this.#decoder.forwardSaving([position], x, batch, wanted);
    this.#decoder.free(y);
    const { dx, sums = {} } = await this.#decoder.backward([position], dy, saved, batch);
    this.#backward.add(position, countsOf(batch), sums);
    return dx;
  }
}

const countsOf = ({ tokens, targets }: PackedBatch) => ({ tokens, targets: targets.length });
