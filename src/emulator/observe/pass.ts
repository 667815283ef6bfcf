// The pass over the probe's rows that observes: forward with the moments of inputs, then backward with those of gradients.
import type { PackedBatch } from '../../data/index.ts';
import type { Passage } from '../../evaluation/index.ts';
import { type Decoder, scoreGradient } from '../../model/index.ts';
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
  readonly #inputs: Map<PackedBatch, Float32Array>[] = [];

  constructor(decoder: Decoder, options: ObservingOptions) {
    const { observed, directory, whole } = options;
    this.#decoder = decoder;
    this.#options = options;
    this.#forward = new SummedLayers(directory, 'forward', whole);
    this.#backward = new SummedLayers(directory, 'backward', whole);
    this.states = includes(observed, 'gradients') ? decoder.depth + 1 : 1;
  }

  async forward(position: number, x: Float32Array, batch: PackedBatch): Promise<Float32Array> {
    const decoder = this.#decoder;
    const { observed } = this.#options;
    const { y, sums } = includes(observed, 'inputs')
      ? await decoder.forwardObserving(position, x, batch)
      : { ...(await decoder.forward(position, x, batch)), sums: {} };
    const cosine = [summedCosines(x, y, decoder.config.hidden, batch.rows)];
    this.#forward.add(position, countsOf(batch), { cosine, ...sums });
    if (includes(observed, 'gradients')) {
      this.#inputs[position] ??= new Map();
      this.#inputs[position].set(batch, x);
    }
    return y;
  }

  async atEndOfGroup(batches: readonly PackedBatch[], hidden: readonly Float32Array[]): Promise<void> {
    this.#forward.flush();
    if (!includes(this.#options.observed, 'gradients')) return;
    const dy = new Map<PackedBatch, Float32Array>();
    for (const [i, batch] of batches.entries()) dy.set(batch, await this.#atHead(batch, hidden[i]!));
    for (let position = this.#decoder.depth - 1; position >= 0; position--) {
      for (const batch of batches) {
        dy.set(batch, await this.#back(position, dy.get(batch)!, batch));
        this.#options.progress(1);
      }
      delete this.#inputs[position];
    }
    this.#backward.flush();
  }

  /** dL/d(last states), where L is the summed cross-entropy. */
  async #atHead({ targets }: PackedBatch, hidden: Float32Array): Promise<Float32Array> {
    const weights = new Float32Array(targets.length).fill(-1);
    return (await this.#decoder.head(hidden, targets, scoreGradient(weights))).dx;
  }

  async #back(position: number, dy: Float32Array, batch: PackedBatch): Promise<Float32Array> {
    const x = this.#inputs[position]!.get(batch)!;
    const wanted = { weights: false, input: position > 0, maps: true } as const;
    const { saved } = await this.#decoder.forwardSaving(position, x, batch, wanted);
    const { dx, sums = {} } = await this.#decoder.backward(position, dy, saved, batch);
    this.#backward.add(position, countsOf(batch), sums);
    return dx;
  }
}

const countsOf = ({ tokens, targets }: PackedBatch) => ({ tokens, targets: targets.length });
