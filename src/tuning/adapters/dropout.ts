// LoRA dropout whose masks are reproducible under any packing and after a resume.
import { hashOf, mix, type PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import { stayingIn } from '../../model/index.ts';
import type { AdapterKind, Dropout, Moment } from './adapter.ts';
import { direct } from './direct.ts';
import { inNarrower } from './narrower.ts';

/**
 * LoRA's dropout as PEFT has it: the factors run beside the weights, which stay as they are, and see a part of their inputs.
 * @param scale alpha / rank
 */
export function droppedOut(changes: AdapterKind['changes'], rate: number, scale: number): Dropout {
  const buffers = new Map<string, Float32Array>();
  return {
    changes: (architecture, layer, shape) =>
      changes(architecture, layer).flatMap(({ slot, tensors: [a, b] }) =>
        inNarrower(
          [
            { ...direct(`${slot}A`, a!), inserted: { scaled: false } },
            { ...direct(`${slot}B`, b!), inserted: { scaled: true } },
          ],
          shape && stayingIn(architecture, slot, shape),
        ),
      ),
    masks: (architecture, layer, batch, moment, shape) =>
      Object.fromEntries(
        changes(architecture, layer).map(({ slot, tensors: [a] }) => {
          const staying = shape && stayingIn(architecture, slot, shape);
          const name = a!.name;
          const width = staying?.side === 'from' ? staying.elements.length : (a!.shape[1] as number);
          const mask = maskFor(buffers, slot, batch, width);
          fillMask(mask.data as Float32Array, batch, { ...moment, name, rate, kept: scale / (1 - rate) });
          return [`${slot}Mask`, mask];
        }),
      ),
  };
}

interface MaskOptions extends Moment {
  /** Of what is left out: a name of its own for each mask. */
  name: string;
  /** The probability that a number is left out. */
  rate: number;
  /** What a number that stays counts. */
  kept: number;
}

/**
 * Fills a mask [tokens, width] with 0 and `kept`. Each number follows from name, seed, step, its token's row and place, and
 * its column alone, by murmur3's finaliser: it is the same however rows are packed, and in a run that goes on after a stop.
 */
function fillMask(
  mask: Float32Array,
  batch: PackedBatch,
  { name, seed, step, byContent, rate, kept }: MaskOptions,
): void {
  const { positions } = batch;
  const rows = byContent ? contentsOf(batch) : batch.rows;
  const width = mask.length / rows.length;
  const least = rate * 2 ** 32;
  const all = mix(mix(hashOf(name) ^ seed) ^ step);
  for (let token = 0; token < rows.length; token++) {
    let x = mix(mix(all ^ rows[token]!) ^ positions[token]!);
    const end = (token + 1) * width;
    for (let i = token * width; i < end; i++) {
      mask[i] = mix(x) >>> 0 >= least ? kept : 0;
      x = (x + 0x9e3779b1) | 0;
    }
  }
}

/** What tells each token's row by its tokens alone, wherever it lies among the others. */
function contentsOf({ ids, positions, rows, branches }: PackedBatch): Int32Array {
  const contents = new Map<number, number>();
  for (const [token, row] of rows.entries())
    contents.set(
      row,
      mix(mix(mix((contents.get(row) ?? 0) ^ ids[token]!) ^ positions[token]!) ^ branches[token]!),
    );
  return rows.map((row) => contents.get(row)!);
}

/** Room for a mask, used again for other layers and batches. */
function maskFor(
  buffers: Map<string, Float32Array>,
  slot: string,
  { size, length }: PackedBatch,
  width: number,
): Tensor {
  const count = size * length * width;
  const found = buffers.get(slot);
  const buffer = found !== undefined && found.length >= count ? found : new Float32Array(count);
  buffers.set(slot, buffer);
  return { dtype: 'float32', shape: [size, length, width], data: buffer.subarray(0, count) };
}
