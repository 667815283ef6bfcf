// Linear maps in fewer bits: what every weight is stays roughly the same, and only the least of each group, and what lies on a step by chance, exactly.
import { asQuantised, linearMaps, type MapForm } from '../../model/index.ts';
import type { Compression } from './compression.ts';

export interface QuantizeOptions {
  readonly bits: 4 | 8;
}

/** Neighbouring inputs that share a scale. */
const group = 64;

/** Every linear map in codes, uniformly between the least and the largest weight of each group; it looks at no input. */
export const quantize: Compression<QuantizeOptions> = {
  needs: () => [],

  async plan(layers, { model }, { bits }) {
    return new Map(
      layers.map((layer) => {
        const maps = linearMaps(model.architecture.block(layer)).map(([slot]): [string, MapForm] => [
          slot,
          { is: 'quantised', bits, group },
        ]);
        return [layer, { maps: Object.fromEntries(maps) }];
      }),
    );
  },

  async derive(layer, { maps = {} }, { model, engine }) {
    const slots = model.architecture.block(layer);
    const derived = new Map<string, Float32Array>();
    for (const [slot, form] of Object.entries(maps)) {
      engine.throwIfCancelled();
      if (form.is !== 'quantised') throw new Error(`${slot} is ${form.is}, not quantised`);
      derived.set(slot, asQuantised(slots[slot]!, form, model.read(slots[slot]!.name)));
    }
    return derived;
  },
};
