// LoRA adapters: low-rank changes of linear maps, merged while they train where there is no dropout.
import { badSpec } from '../../api/index.ts';
import type { Random } from '../../data/index.ts';
import { type Architecture, type Slot, stayingIn } from '../../model/index.ts';
import type { AdapterKind, Change, Factors } from './adapter.ts';
import { direct } from './direct.ts';
import { droppedOut } from './dropout.ts';
import { addProduct, type LowRank, productGradients, transpose } from './low-rank.ts';
import { inNarrower } from './narrower.ts';
import { headOf, type LoraOptions, moduleOf, pathOf, peftConfig } from './peft.ts';
import { uniform } from './start.ts';

/**
 * LoRA (arXiv 2106.09685) in PEFT's format: W + alpha/rank B A for linear maps of the trained layers. Without dropout the
 * layer runs the sum, so that forward and backward are those of the layer itself, and the factors' gradients follow from the
 * weight's; where the layer's own weight is not at hand, the factors run beside what there is.
 */
export function lora(options: LoraOptions): AdapterKind {
  const { rank, alpha, targetModules, dropout, head } = options;
  const changes = (architecture: Architecture, layer: number) => {
    const linear = Object.entries(architecture.block(layer)).filter(([, { shape }]) => shape.length === 2);
    const names = linear.map(([, slot]) => moduleOf(slot));
    const unknown = targetModules?.filter((name) => !names.includes(name)) ?? [];
    if (unknown.length > 0)
      throw badSpec(
        `spec.adapter.targetModules: ${unknown.join(', ')} is no linear map of a ${architecture.family} layer; it has ${names.join(', ')}`,
      );
    return linear
      .filter(([, slot]) => targetModules?.includes(moduleOf(slot)) ?? true)
      .map(([slot, weight]) => factored(slot, weight, pathOf(architecture, weight), rank, alpha));
  };
  return {
    changes,
    beside: (architecture, layer, shape) =>
      changes(architecture, layer).flatMap((change) =>
        inNarrower(besideMap(change, alpha / rank), shape && stayingIn(architecture, change.slot, shape)),
      ),
    ...(head ? { head: (architecture) => [headOf(architecture)] } : {}),
    ...(dropout > 0 ? { dropout: droppedOut(changes, dropout, alpha / rank) } : {}),
    files: (architecture, layers) => ({ 'adapter_config.json': peftConfig(architecture, layers, options) }),
  };
}

/** The factors beside the map y of x: y + (scale B) (A x), so that neither the weight nor its gradient is needed. */
function besideMap({ slot, tensors: [a, b] }: Change, scale: number): [a: Change, b: Change] {
  const scaled = (values: Float32Array, into: Float32Array = new Float32Array(values.length)) => {
    for (let i = 0; i < values.length; i++) into[i] = scale * (values[i] as number);
    return into;
  };
  return [
    {
      ...direct(`${slot}A`, a!),
      inserted: { scaled: false },
      start: (_, random) => [firstA(random, a!.shape)],
    },
    {
      ...direct(`${slot}B`, b!),
      inserted: { scaled: true },
      whole: false,
      start: () => [new Float32Array(b!.shape.reduce((x, y) => x * y, 1))],
      weight: ([values], _, into) => scaled(values!, into),
      gradients: (_, gradient) => [scaled(gradient)],
    },
  ];
}

/** As PEFT starts it. */
const firstA = (random: Random, [rank, from]: readonly number[]): Float32Array =>
  uniform(random, rank! * from!, 1 / Math.sqrt(from!));

function factored(slot: string, weight: Slot, path: string, rank: number, alpha: number): Change {
  const [rows, columns] = weight.shape as [number, number];
  const [to, from] = weight.transposed ? [columns, rows] : [rows, columns];
  const scale = alpha / rank;
  /** The change as the weight lies: B A, or its transpose. */
  const product = ([a, b]: readonly Float32Array[]): LowRank => ({
    left: weight.transposed ? transpose(a!, rank, from) : b!,
    right: weight.transposed ? transpose(b!, to, rank) : a!,
    rows,
    columns,
    rank,
  });
  const factors: Factors = {
    rank,
    scale,
    product,
    tensors: (left, right) =>
      weight.transposed ? [transpose(left, from, rank), transpose(right, rank, to)] : [right, left],
  };
  return {
    slot,
    name: weight.name,
    tensors: [
      { name: `${path}.lora_A.weight`, shape: [rank, from] },
      { name: `${path}.lora_B.weight`, shape: [to, rank] },
    ],
    whole: false,
    factors,
    // As PEFT starts: one factor random, the other zero, so that the first weight is the model's own.
    start: (_, random) => [firstA(random, [rank, from]), new Float32Array(to * rank)],
    weight(values, full, into = new Float32Array(full.length)) {
      into.set(full);
      addProduct(into, product(values), scale);
      return into;
    },
    gradients(values, gradient) {
      const { left, right } = productGradients(gradient, product(values), scale);
      return factors.tensors(left, right);
    },
  };
}
