// How many heads and channels a block has, and where each of them lies in the block's tensors.

/** Counts of what runs side by side in a block: query heads, key/value heads (groups), channels of the MLP. */
export interface Widths {
  heads: number;
  groups: number;
  inner: number;
}

/** What a block can have fewer of. */
export type Unit = keyof Widths;

/** Elements along a tensor's axis, `size` for each unit, unit behind unit. */
export interface Run {
  of: Unit;
  size: number;
}

/** Which side of a linear map is divided into units, by runs one behind another: what it gives (and its bias) or what it takes. */
export interface Cut {
  side: 'to' | 'from';
  runs: readonly Run[];
}

/** By the linear map's slot. */
export type Cuts = Readonly<Record<string, Cut>>;

/** Which units stay, by their numbers in the model's own blocks, ascending. */
export type Kept = Readonly<Record<Unit, readonly number[]>>;

/** The elements along the divided axis that belong to units that stay, ascending. */
export function elementsOf({ runs }: Cut, whole: Widths, kept: Kept): number[] {
  let start = 0;
  return runs.flatMap(({ of, size }) => {
    const from = start;
    start += whole[of] * size;
    return kept[of].flatMap((unit) => Array.from({ length: size }, (_, i) => from + unit * size + i));
  });
}

/** The axis of a map's tensor that a cut divides; that of its bias is the only one. */
export const axisOf = (
  { side }: Cut,
  { shape, transposed }: { readonly shape: readonly number[]; readonly transposed?: true },
): number => (shape.length > 1 && (side === 'to') === (transposed ?? false) ? 1 : 0);
