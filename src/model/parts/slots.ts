// Weight slots of norms, linear maps and heads: how their tensors are named and shaped.
import type { Value } from '../../graph/index.ts';
import type { Slot, Slots } from '../family.ts';

/** A block's weights by slot, as the graph takes them. */
export type Inputs = Readonly<Record<string, Value>>;

/** A norm's weight, and its bias in the slot `<slot>Bias` where it has one. */
export function normSlots(slot: string, name: string, size: number, { bias = false } = {}): Slots {
  return withBias(slot, name, [size], bias ? size : 0);
}

/** A linear map [to, from] as torch.nn.Linear stores it, and its bias in the slot `<slot>Bias` where it has one. */
export function linearSlots(
  slot: string,
  name: string,
  [to, from]: readonly [number, number],
  { bias = false } = {},
): Slots {
  return withBias(slot, name, [to, from], bias ? to : 0);
}

/** A linear map that is stored the other way round, [from, to], and its bias. */
export function transposedSlots(slot: string, name: string, [from, to]: readonly [number, number]): Slots {
  const slots = withBias(slot, name, [from, to], to);
  return { ...slots, [slot]: { ...slots[slot]!, transposed: true } };
}

/** How many numbers a linear map takes that lies [to, from], whole or as factors. */
export const inputsOf = (w: Inputs, slot: string): number => (w[slot] ?? w[`${slot}Right`])!.shape[1]!;

/** The head, which may be the embedding itself; `name` is what its tensor is called where it is not. */
export function headSlot(embedding: Slot, tied: boolean, name = 'lm_head.weight'): Slot {
  return tied ? { ...embedding, untied: name } : { ...embedding, name };
}

function withBias(slot: string, name: string, shape: readonly number[], bias: number): Slots {
  return {
    [slot]: { name: `${name}.weight`, shape },
    ...(bias > 0 ? { [`${slot}Bias`]: { name: `${name}.bias`, shape: [bias] } } : {}),
  };
}
