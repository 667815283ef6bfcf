// The loss of a trained change in half precision.
import { decodeFloats, encodeFloats } from '../checkpoint/index.ts';
import type { Model } from '../model/index.ts';
import type { PluggableAdapter } from './adapter.ts';
import { storedFor } from './merge.ts';

/** What becomes of an adapter's change in the model's own type. */
export interface Rounding {
  /** As config.json calls it. */
  readonly dtype: 'bfloat16' | 'float16';
  /** How many weights the adapter changes, before they are rounded. */
  readonly changed: number;
  /** The share of them that is another number than before in that type, too. */
  readonly kept: number;
}

/** Elements that are rounded at a time, so that memory is that of two tensors. */
const elementsAtOnce = 1 << 20;

/** Below this share a release says something else than what was trained. */
const least = 0.5;

/**
 * How much of what was trained is still there in the type that the model stores: a change below half a unit in the last place
 * is rounded away. Nothing for a model in float32.
 */
export function roundingOf(
  model: Model,
  adapter: PluggableAdapter,
  coefficient: number,
): Rounding | undefined {
  let [changed, kept] = [0, 0];
  let dtype: Rounding['dtype'] | undefined;
  for (const name of adapter.changed) {
    const stored = storedFor(model, name);
    if (stored?.dtype !== 'F16' && stored?.dtype !== 'BF16') continue;
    dtype = stored.dtype === 'F16' ? 'float16' : 'bfloat16';
    const whole = { full: model.read(stored.name), plugged: adapter.get(name)! };
    for (let from = 0; from < whole.full.length; from += elementsAtOnce) {
      const full = whole.full.subarray(from, from + elementsAtOnce);
      const plugged = whole.plugged.subarray(from, from + elementsAtOnce);
      const mixed = plugged.map((value, i) => (1 - coefficient) * (full[i] as number) + coefficient * value);
      const rounded = decodeFloats(encodeFloats(mixed, stored.dtype), stored.dtype);
      for (let i = 0; i < full.length; i++) {
        if (mixed[i] === full[i]) continue;
        changed++;
        if (rounded[i] !== full[i]) kept++;
      }
    }
  }
  return dtype && { dtype, changed, kept: changed === 0 ? 1 : kept / changed };
}

/** What to say of it, where most of the change is lost. */
export function roundedAway({ dtype, changed, kept }: Rounding): string | undefined {
  if (kept >= least) return undefined;
  return `the model's ${dtype} keeps ${(100 * kept).toFixed(1)} % of the ${changed} weights that the adapter changes; the others are rounded back to what they were. spec.output.save: adapter releases the change in full; a higher learning rate or more steps make it larger`;
}
