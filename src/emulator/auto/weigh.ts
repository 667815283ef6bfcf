// What a candidate's bundle would take and hold exactly, without making it.
import type { Model } from '../../model/index.ts';
import { exactShare, tensorsThatRun } from '../leak/exact-share.ts';
import { type Made, withCopies } from '../leak/held.ts';
import { type Layout, slotsOf, tensorSlots } from '../plan/layout.ts';
import { storedDtype } from '../write-bundle.ts';

/**
 * Bytes of the bundle's tensors as a share of all of the model's stored in the same way, and the parameters that it holds bit by bit. Of a
 * block in factors norms stay, and every map and its bias is another one.
 * @param copies of the model's layers (`copiesOf`)
 */
export function weigh(
  model: Model,
  layout: Layout,
  copies: Made['copies'],
): { sizeShare: number; exactParameterShare: number } {
  const { architecture, tensors } = model;
  const slots = tensorSlots(architecture, layout);
  const whole = tensorsThatRun(model);
  const bytes = (list: Iterable<{ name: string; shape: readonly number[] }>) =>
    [...list].reduce((sum, { name, shape }) => sum + sizeOf(shape) * widths[storedDtype(model, name)], 0);
  const others = new Set(
    Object.values(layout.blocks).flatMap((block) =>
      Object.keys(block.shape?.maps ?? {}).map((slot) => slotsOf(architecture, block)[`${slot}Bias`]?.name),
    ),
  );
  const held = new Set(
    slots.map(({ name }) => name).filter((name) => tensors.has(name) && !others.has(name)),
  );
  return {
    sizeShare: bytes(slots) / bytes(whole),
    exactParameterShare: exactShare(whole, withCopies(model, held, { layout, clusters: [], copies }))
      .parameters,
  };
}

const widths = { F32: 4, F16: 2, BF16: 2 };
const sizeOf = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1);
