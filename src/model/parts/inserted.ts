// The graph of adapter modules at a linear map: LoRA in parallel, bottlenecks in series.
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { Inputs } from './slots.ts';

/**
 * What an adapter has inserted at a linear map y of x: beside it a low-rank change B A (mask x) (LoRA, arXiv
 * 2106.09685), in the slots `<slot>A` and `<slot>B`, and `<slot>Mask` under dropout; behind it a bottleneck y + up(relu(down(y))) (arXiv
 * 1902.00751), in `<slot>Down`, `<slot>Up` and their biases. y itself where there is nothing.
 */
export function withInserted(g: GraphBuilder, x: Value, y: Value, w: Inputs, slot: string): Value {
  return behind(g, beside(g, x, y, w, slot), w, slot);
}

function beside(g: GraphBuilder, x: Value, y: Value, w: Inputs, slot: string): Value {
  if (w[`${slot}A`] === undefined) return y;
  const mask = w[`${slot}Mask`];
  const narrow = g.matmul(mask === undefined ? x : g.mul(x, mask), w[`${slot}A`]!, { transB: true });
  return g.add(y, g.matmul(narrow, w[`${slot}B`]!, { transB: true }));
}

function behind(g: GraphBuilder, y: Value, w: Inputs, slot: string): Value {
  if (w[`${slot}Down`] === undefined) return y;
  const map = (v: Value, name: string) => g.add(g.matmul(v, w[name]!, { transB: true }), w[`${name}Bias`]!);
  return g.add(y, map(g.relu(map(y, `${slot}Down`)), `${slot}Up`));
}
