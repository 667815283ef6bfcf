// The plausibility check of a trained change: no weight beyond its type, none far beyond its layer.
import { badModel } from '../api/index.ts';
import type { DType } from '../checkpoint/index.ts';
import type { Model, Slot, Slots } from '../model/index.ts';
import type { Change } from '../tuning/index.ts';

/**
 * How many times the size of its layer's weights a change may have, as root mean squares. AdamW moves a weight by at most
 * learning rate times steps, with published settings a fraction of the weights' own size; a hundred times that size leaves
 * nothing of the model.
 */
export const largestChange = 100;

/** The largest number of the types that end before float32 does. */
const largestNumber: Readonly<Partial<Record<DType, number>>> = { F16: 65504, BF16: 3.3895313892515355e38 };

/** Whose changes are looked at, as errors name them, and what is to be done about such as are too large. */
export interface Origin {
  readonly name: string;
  readonly remedy: string;
}

/** Of an adapter that was trained. */
export const trainedIn = (directory: string): Origin => ({
  name: directory,
  remedy: 'train with a lower learning rate',
});

/** What an adapter changes at one place: a layer, or the head. */
export interface ChangedPlace {
  /** The weights there are of it; a bundle may hold a linear map in other parts. */
  readonly slots: Slots;
  /** The full model's own. */
  readonly full: Slots;
  readonly changes: readonly Change[];
}

/**
 * Whether what came back could have been trained at all: each weight that it comes to must be a number of the type that the
 * model stores it in, and no change may be far larger than the weights of its layer. Of a weight that is not at hand the change
 * alone is looked at.
 * @param changed the weight that a change of some weights comes to; valid until the next call
 * @throws OffsiteError BadModel naming the weight, its change and the bound
 */
export function checkMagnitude(
  { name, remedy }: Origin,
  places: Iterable<ChangedPlace>,
  changed: (change: Change, of: Pick<Model, 'read'>) => Float32Array,
  { tensors, read }: Pick<Model, 'tensors' | 'read'>,
): void {
  for (const { slots, full, changes } of places) {
    const layer = new Size();
    for (const slot of Object.values(slots)) layer.add(read(slot.name));
    for (const change of changes) {
      const stored = change.inserted === undefined ? storedAt(change.slot, slots, full) : undefined;
      const weight = changed(change, stored === undefined ? noughts(full[change.slot]) : { read });
      const dtype = (stored !== undefined && tensors.get(stored)?.dtype) || 'F32';
      const most = largestNumber[dtype];
      if (most !== undefined && !weight.every((value) => Math.abs(value) <= most))
        throw badModel(
          `${name}: its change of ${change.name} holds a value that is too large for the model's ${dtype}; ${remedy}`,
        );
      const size = new Size().add(weight, stored === undefined ? undefined : read(stored));
      const times = size.rootMeanSquare / (layer.rootMeanSquare || 1);
      if (!(times <= largestChange))
        throw badModel(
          `${name}: its change of ${change.name} is ${times.toPrecision(3)} times as large as the weights of its layer (root mean squares); at most ${largestChange} times is taken: ${remedy}`,
        );
    }
  }
}

/** The weight that is at hand of a slot; a narrower one is not it. */
const storedAt = (slot: string, slots: Slots, full: Slots): string | undefined =>
  slots[slot]?.shape.join() === full[slot]?.shape.join() ? slots[slot]?.name : undefined;

/** In the place of a weight that is not at hand. */
const noughts = (slot: Slot | undefined): Pick<Model, 'read'> => ({
  read: () => new Float32Array(slot?.shape.reduce((a, b) => a * b, 1) ?? 0),
});

/** Of weights, or of differences, summed in float64, where squares of float32 do not overflow. */
class Size {
  #squares = 0;
  #count = 0;

  add(values: Float32Array, less?: Float32Array): this {
    for (let i = 0; i < values.length; i++) {
      const value = (values[i] as number) - (less === undefined ? 0 : (less[i] as number));
      this.#squares += value * value;
    }
    this.#count += values.length;
    return this;
  }

  get rootMeanSquare(): number {
    return Math.sqrt(this.#squares / Math.max(1, this.#count));
  }
}
