// Tensors of a checkpoint that no slot names: not read, not released, and refused where another program would run them.
import { badModel } from '../api/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { Slot } from './family.ts';

/**
 * Checks that no tensor beside the model's own would stand in the place of one of these in transformers, which looks for
 * weights with and without their outer modules' names, and does not tie a head that is stored and differs.
 * @param slots every slot that runs
 * @param named their tensors
 * @throws OffsiteError BadModel naming both tensors
 */
export function checkStrays(
  path: string,
  view: Checkpoint,
  { slots, named }: { slots: readonly Slot[]; named: ReadonlySet<string> },
): void {
  const places = new Map([...named].map((name) => [innerName(name), name]));
  const heads = new Map(
    slots.flatMap((slot) =>
      slot.untied === undefined ? [] : [[innerName(slot.untied), slot.name] as const],
    ),
  );
  for (const stray of view.tensors.keys()) {
    if (named.has(stray)) continue;
    const inner = innerName(stray);
    const place = places.get(inner);
    if (place !== undefined)
      throw badModel(
        `${path}: tensor ${stray} would stand in the place of ${place} where transformers opens the model; take one of both out`,
      );
    const embedding = heads.get(inner);
    if (embedding !== undefined && !areEqual(view, stray, embedding))
      throw badModel(
        `${path}: tensor ${stray} is not ${embedding}, and its config.json ties the head to that: transformers would run ${stray}; take it out, or set tie_word_embeddings to false`,
      );
  }
}

/** Modules around the decoder, as checkpoints and transformers name them; transformers takes any character behind one. */
const outerModules =
  /^(?:(?:module|base_model|model|transformer|gpt_neox|decoder|language_model|text_model|backbone).)+/;

const innerName = (name: string) => name.replace(outerModules, '');

/** Numbers that are compared at a time. */
const compared = 2 ** 22;

function areEqual(view: Checkpoint, a: string, b: string): boolean {
  const [one, other] = [view.tensors.get(a)!, view.tensors.get(b)!];
  if (one.dtype !== other.dtype || one.shape.join() !== other.shape.join()) return false;
  const [count = 0, width = 1] = one.shape;
  const step = Math.max(1, Math.floor(compared / width));
  for (let start = 0; start < count; start += step) {
    const rows = [start, Math.min(count, start + step)] as const;
    const [left, right] = [a, b].map((name) => bitsOf(view.read(name, { rows }))) as [Buffer, Buffer];
    if (!left.equals(right)) return false;
  }
  return true;
}

const bitsOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  Buffer.from(buffer, byteOffset, byteLength);
