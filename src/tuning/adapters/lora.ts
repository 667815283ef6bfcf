import { badSpec } from '../../api/index.ts';
import type { Random } from '../../data/index.ts';
import type { Architecture, Slot } from '../../model/index.ts';
import type { AdapterKind, Change } from './adapter.ts';
import { addProduct, type LowRank, productGradients, transpose } from './low-rank.ts';

export interface LoraOptions {
  rank: number;
  alpha: number;
  /** Linear maps by the last part of their module's name; all of the layer when absent. */
  targetModules?: readonly string[] | undefined;
}

/**
 * LoRA (arXiv 2106.09685) in PEFT's format: W + alpha/rank B A for linear maps of the transfer layers. The layer runs the
 * sum, so that forward and backward are those of the layer itself, and the factors' gradients follow from the weight's.
 */
export const lora = ({ rank, alpha, targetModules }: LoraOptions): AdapterKind => ({
  changes(architecture, layer) {
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
  },
  files: (architecture, layers) => ({
    'adapter_config.json': `${JSON.stringify(
      {
        peft_type: 'LORA',
        task_type: 'CAUSAL_LM',
        base_model_name_or_path: null,
        r: rank,
        lora_alpha: alpha,
        lora_dropout: 0,
        bias: 'none',
        target_modules: [...new Set(targetModules ?? linearModules(architecture))],
        layers_to_transform: layers,
        fan_in_fan_out: Object.values(architecture.block(0)).some(({ transposed }) => transposed),
        inference_mode: true,
      },
      null,
      2,
    )}\n`,
  }),
});

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
  return {
    slot,
    name: weight.name,
    tensors: [
      { name: `${path}.lora_A.weight`, shape: [rank, from] },
      { name: `${path}.lora_B.weight`, shape: [to, rank] },
    ],
    whole: false,
    // As PEFT starts: one factor random, the other zero, so that the first weight is the model's own.
    start: (_, random) => [uniform(random, rank * from, 1 / Math.sqrt(from)), new Float32Array(to * rank)],
    weight(values, full, into = new Float32Array(full.length)) {
      into.set(full);
      addProduct(into, product(values), scale);
      return into;
    },
    gradients(values, gradient) {
      const { left, right } = productGradients(gradient, product(values), scale);
      return weight.transposed ? [transpose(left, from, rank), transpose(right, rank, to)] : [right, left];
    },
  };
}

const uniform = (random: Random, size: number, bound: number) =>
  Float32Array.from({ length: size }, () => bound * (random.next() / 2 ** 31 - 1));

const moduleOf = ({ name }: Slot) => name.split('.').at(-2) as string;

/** The module's place in PEFT's model around transformers'. */
const pathOf = ({ omitted = '' }: Architecture, { name }: Slot) =>
  `base_model.model.${omitted}${name.replace(/\.weight$/, '')}`;

const linearModules = (architecture: Architecture) =>
  Object.values(architecture.block(0))
    .filter(({ shape }) => shape.length === 2)
    .map(moduleOf);
