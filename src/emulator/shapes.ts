// emulator.json: which blocks of a bundle are not the full model's own layers, and what shape they have.
import { join } from 'node:path';
import { z } from 'zod';
import { badModel, listOf } from '../api/index.ts';
import { canonicalJson, type Files, type WrittenFiles } from '../artifact/index.ts';
import { readJsonFile } from '../checkpoint/index.ts';
import {
  type Architecture,
  type BlockShape,
  type Kept,
  linearMaps,
  mapSize,
  type Unit,
  type Widths,
} from '../model/index.ts';
import type { Shapes } from './plan/layout.ts';
import type { Plan } from './plan/plan.ts';

export const shapesFile = 'emulator.json';

const slot = z.string().regex(/^[A-Za-z]{1,40}$/);
const count = z.int().positive();
/** More than any map has inputs. */
const mostInGroup = 1 << 20;
const form = z.discriminatedUnion('is', [
  z.strictObject({ is: z.literal('factors'), rank: count }),
  z.strictObject({ is: z.literal('quantised'), bits: z.literal([4, 8]), group: count.max(mostInGroup) }),
]);
const units = listOf(z.int().nonnegative());
const shape = z.strictObject({
  maps: z.record(slot, form).optional(),
  biases: listOf(slot).optional(),
  widths: z
    .strictObject({ heads: count.optional(), groups: count.optional(), inner: count.optional() })
    .optional(),
  kept: z
    .strictObject({ heads: units.optional(), groups: units.optional(), inner: units.optional() })
    .optional(),
});
const layer = z.string().regex(/^(0|[1-9][0-9]{0,3})$/);
const schema = z.strictObject({ blocks: z.record(layer, shape) });

/** Of 1,024 blocks with 16 maps each, or of 128 of which each names 16,384 channels. */
const bounds = { bytes: 16 << 20, depth: 6, values: 1 << 21 };

/** Written only where a block is not exact: a bundle of exact layers stays as it always was. */
export function writeShapes(files: WrittenFiles, shapes: Shapes): void {
  if (shapes.size === 0) return;
  files.write(shapesFile, canonicalJson({ blocks: Object.fromEntries(shapes) }));
}

/**
 * The shapes of a bundle's blocks; none where it has no such file.
 * @param files its own
 * @throws OffsiteError BadModel where the file is damaged, or names a layer that is not kept, or one that trains
 */
export function readShapes(directory: string, files: Files, plan: Plan): Shapes {
  const path = join(directory, shapesFile);
  if (!files.has(path)) return new Map();
  const shapes = new Map<number, BlockShape>();
  for (const [name, found] of Object.entries(parse(path, files))) {
    const of = Number(name);
    if (!plan.kept.includes(of)) throw badModel(`${path}: block ${of} is not among the kept layers`);
    if (plan.transferLayers.includes(of))
      throw badModel(`${path}: block ${of} is a transfer layer, which is always exact`);
    shapes.set(of, {
      ...(found.maps && { maps: found.maps }),
      ...(found.biases && { biases: found.biases }),
      ...(found.widths && { widths: Object.fromEntries(Object.entries(found.widths)) }),
      ...(found.kept && { kept: Object.fromEntries(Object.entries(found.kept)) }),
    });
  }
  return shapes;
}

function parse(path: string, files: Files): z.output<typeof schema>['blocks'] {
  try {
    return schema.parse(readJsonFile(path, bounds, files).value).blocks;
  } catch (error) {
    throw badModel(`${path}: is damaged; build the emulator again`, { cause: error });
  }
}

/**
 * Whether a layer of the model can have such a shape.
 * @throws OffsiteError BadModel naming the map, or the width
 */
export function checkShape(
  directory: string,
  architecture: Architecture,
  of: number,
  { maps = {}, biases = [], widths = {}, kept = {} }: BlockShape,
): void {
  const at = `${join(directory, shapesFile)}: block ${of}`;
  checkWidths(at, architecture.widths, widths);
  checkUnits(at, architecture.widths, widths, kept);
  const slots = architecture.block(of, widths);
  const linear = new Map(linearMaps(slots));
  for (const [name, form] of Object.entries(maps)) {
    const map = linear.get(name);
    if (map === undefined)
      throw badModel(`${at}: ${name} is no linear map of a ${architecture.family} layer`);
    const { to, from } = mapSize(map);
    if (form.is === 'factors' && form.rank > Math.min(to, from))
      throw badModel(
        `${at}: ${name} has rank ${form.rank}, and a map of ${from} to ${to} has none above ${Math.min(to, from)}`,
      );
  }
  for (const name of biases)
    if (!linear.has(name) || slots[`${name}Bias`] !== undefined)
      throw badModel(`${at}: ${name} is no linear map without a bias of a ${architecture.family} layer`);
  if (new Set(biases).size < biases.length) throw badModel(`${at}: a bias is named twice`);
}

/** Fewer of what the layer has, and to each key/value head that is left its query heads; of one alone some may be missing. */
function checkWidths(at: string, whole: Widths, widths: Partial<Widths>): void {
  for (const [name, count] of Object.entries(widths) as [Unit, number][])
    if (count > whole[name]) throw badModel(`${at}: has ${count} ${name}, and the model ${whole[name]}`);
  const { heads, groups } = { ...whole, ...widths };
  if (whole.groups > 1 && heads * whole.groups !== groups * whole.heads)
    throw badModel(
      `${at}: ${heads} heads and ${groups} groups do not fit a model with ${whole.heads} and ${whole.groups}`,
    );
}

/** As many as there are, each of the model's own, ascending; the heads that stay are those of the groups that do. */
function checkUnits(at: string, whole: Widths, widths: Partial<Widths>, kept: Partial<Kept>): void {
  for (const [name, units] of Object.entries(kept) as [Unit, readonly number[]][]) {
    const count = widths[name] ?? whole[name];
    const rises = units.every((unit, i) => unit < whole[name] && (i === 0 || unit > units[i - 1]!));
    if (units.length !== count || !rises)
      throw badModel(`${at}: kept.${name}: must name ${count} of the ${whole[name]} ${name}, ascending`);
  }
  if (kept.heads === undefined || kept.groups === undefined || whole.groups === 1) return;
  const groups = new Set(kept.groups);
  if (!kept.heads.every((head) => groups.has(Math.floor((head * whole.groups) / whole.heads))))
    throw badModel(`${at}: kept.heads: must be those of the groups that are kept`);
}
