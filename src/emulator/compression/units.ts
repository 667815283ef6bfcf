// What a narrower block leaves out of a layer, one by one: a head and a channel of the MLP.
import {
  type Architecture,
  type BlockShape,
  type Cut,
  elementsOf,
  type Kept,
  type Unit,
  type Widths,
} from '../../model/index.ts';

/** The two parts of a block that can be narrower, each by units of its own. */
export const parts = ['attention', 'mlp'] as const;
export type Part = (typeof parts)[number];

/** A number for each part. */
export type PerPart<T> = Readonly<Record<Part, T>>;

/** The linear map, by slot, that takes what a part's units give. */
export const consumers: PerPart<string> = { attention: 'output', mlp: 'down' };

/**
 * How many units a part has. A unit of the attention is a key/value head with all its query heads; where there is only one
 * key/value head, which then stays, a query head.
 */
export const unitsOf = ({ heads, groups, inner }: Widths): PerPart<number> => ({
  attention: groups > 1 ? groups : heads,
  mlp: inner,
});

/** What stays of a layer where some units of each part do. */
export function keptBy(widths: Widths, units: PerPart<readonly number[]>): Kept {
  const perGroup = widths.groups > 1 ? widths.heads / widths.groups : 1;
  const headsOf = (unit: number) => Array.from({ length: perGroup }, (_, i) => unit * perGroup + i);
  return {
    groups: widths.groups > 1 ? units.attention : [0],
    heads: units.attention.flatMap(headsOf),
    inner: units.mlp,
  };
}

/** The shape of a layer of which some units of each part stay; undefined where all do. */
export function narrowShape(
  architecture: Architecture,
  layer: number,
  units: PerPart<readonly number[]>,
): BlockShape | undefined {
  const { widths: whole } = architecture;
  const staying = keptBy(whole, units);
  const fewer = (Object.keys(whole) as Unit[]).filter((unit) => staying[unit].length < whole[unit]);
  if (fewer.length === 0) return undefined;
  const slots = architecture.block(layer);
  const all = unitsOf(whole);
  const biases = parts
    .filter((part) => units[part].length < all[part])
    .map((part) => consumers[part])
    .filter((slot) => slots[`${slot}Bias`] === undefined);
  return {
    widths: Object.fromEntries(fewer.map((unit) => [unit, staying[unit].length])),
    kept: Object.fromEntries(fewer.map((unit) => [unit, staying[unit]])),
    ...(biases.length > 0 && { biases }),
  };
}

/** The units that stay in a shape. */
export function unitsIn(whole: Widths, { kept = {} }: BlockShape): PerPart<readonly number[]> {
  const all = (unit: Unit) => Array.from({ length: whole[unit] }, (_, i) => i);
  const attention = whole.groups > 1 ? 'groups' : 'heads';
  return { attention: kept[attention] ?? all(attention), mlp: kept.inner ?? all('inner') };
}

/** The part that a divided map belongs to. */
export const partOf = ({ runs }: Cut): Part => (runs[0]!.of === 'inner' ? 'mlp' : 'attention');

/** The unit that each element of a divided axis belongs to; -1 for what belongs to none and stays. */
export function ownersIn(cut: Cut, widths: Widths): Int32Array {
  const whole = cut.runs.reduce((sum, { of, size }) => sum + widths[of] * size, 0);
  const owners = new Int32Array(whole).fill(-1);
  const none = { attention: [], mlp: [] };
  const shared = widths.groups > 1 ? {} : { groups: [] };
  for (let unit = 0; unit < unitsOf(widths)[partOf(cut)]; unit++) {
    const kept = { ...keptBy(widths, { ...none, [partOf(cut)]: [unit] }), ...shared };
    for (const element of elementsOf(cut, widths, kept)) owners[element] = unit;
  }
  return owners;
}

/** The inputs of a consumer that stay. */
export const inputsKept = (
  { cuts, widths }: Architecture,
  consumer: string,
  units: PerPart<readonly number[]>,
): number[] => elementsOf(cuts[consumer]!, widths, keptBy(widths, units));

/** The parameters of a layer's linear maps, in all and those of one unit of each part. */
export function costsOf(architecture: Architecture, layer: number): { whole: number; unit: PerPart<number> } {
  const unit = { attention: 0, mlp: 0 };
  let whole = 0;
  for (const [slot, { shape }] of Object.entries(architecture.block(layer))) {
    if (shape.length < 2) continue;
    const size = shape.reduce((a, b) => a * b, 1);
    whole += size;
    const cut = architecture.cuts[slot];
    if (cut === undefined) continue;
    const owners = ownersIn(cut, architecture.widths);
    const owned = owners.reduce((count, owner) => count + Number(owner === 0), 0);
    unit[partOf(cut)] += owned * (size / owners.length);
  }
  return { whole, unit };
}
