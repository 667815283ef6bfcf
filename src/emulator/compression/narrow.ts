// A layer's tensors without the units that a narrower block leaves out.
import { axisOf, elementsOf, type Model } from '../../model/index.ts';
import { keptBy, type PerPart, partOf, unitsOf } from './units.ts';

/** What is left of a layer's tensors where only some units stay, by slot: of those alone that lose anything. */
export function narrowed(
  { architecture, read }: Pick<Model, 'architecture' | 'read'>,
  layer: number,
  units: PerPart<readonly number[]>,
): Map<string, Float32Array> {
  const { widths, cuts, marks = {} } = architecture;
  const kept = keptBy(widths, units);
  const all = unitsOf(widths);
  const slots = architecture.block(layer);
  const found = new Map<string, Float32Array>();
  for (const [slot, cut] of Object.entries(cuts)) {
    if (units[partOf(cut)].length === all[partOf(cut)]) continue;
    const elements = elementsOf(cut, widths, kept);
    // The bias of a map that gives what units are goes with its rows.
    for (const name of cut.side === 'to' ? [slot, `${slot}Bias`] : [slot]) {
      const own = slots[name];
      if (own !== undefined) found.set(name, taken(read(own.name), own.shape, axisOf(cut, own), elements));
      else if (marks[name] !== undefined)
        found.set(name, taken(marks[name], [marks[name].length], 0, elements));
    }
  }
  return found;
}

/** Rows or columns of a tensor by their indices along an axis. */
function taken(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  indices: readonly number[],
): Float32Array {
  const width = shape.length > 1 ? shape[1]! : 1;
  if (axis === 0) {
    const rows = new Float32Array(indices.length * width);
    indices.forEach((row, i) => {
      rows.set(values.subarray(row * width, (row + 1) * width), i * width);
    });
    return rows;
  }
  const columns = new Float32Array(shape[0]! * indices.length);
  for (let row = 0; row < shape[0]!; row++)
    indices.forEach((column, i) => {
      columns[row * indices.length + i] = values[row * width + column]!;
    });
  return columns;
}
