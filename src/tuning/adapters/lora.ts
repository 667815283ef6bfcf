import { badSpec } from '../../api/index.ts';
import type { PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import type { Architecture, Slot } from '../../model/index.ts';
import type { AdapterKind, Change, Dropout } from './adapter.ts';
import { direct, wholeHead } from './direct.ts';
import { fillMask } from './dropout.ts';
import { addProduct, type LowRank, productGradients, transpose } from './low-rank.ts';
import { uniform } from './start.ts';

export interface LoraOptions {
  rank: number;
  alpha: number;
  /** Linear maps by the last part of their module's name; all of the layer when absent. */
  targetModules?: readonly string[] | undefined;
  /** The probability that an input of the factors is left out in training. */
  dropout: number;
  /** Whether the head is trained beside them. */
  head: boolean;
}

/**
 * LoRA (arXiv 2106.09685) in PEFT's format: W + alpha/rank B A for linear maps of the transfer layers. The layer runs the
 * sum, so that forward and backward are those of the layer itself, and the factors' gradients follow from the weight's.
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
    ...(head ? { head: (architecture) => [headOf(architecture)] } : {}),
    ...(dropout > 0 ? { dropout: droppedOut(changes, dropout, alpha / rank) } : {}),
    files: (architecture, layers) => ({ 'adapter_config.json': configOf(architecture, layers, options) }),
  };
}

/** What PEFT asks for beside the tensors. */
function configOf(
  architecture: Architecture,
  layers: readonly number[],
  { rank, alpha, targetModules, dropout, head }: LoraOptions,
): string {
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: null,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    bias: 'none',
    target_modules: [...new Set(targetModules ?? linearModules(architecture))],
    ...(head ? { modules_to_save: [headModule] } : {}),
    layers_to_transform: layers,
    fan_in_fan_out: Object.values(architecture.block(0)).some(({ transposed }) => transposed),
    inference_mode: true,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** PEFT's own: the factors run beside the weights, which stay as they are, and see only a part of their inputs. */
function droppedOut(changes: AdapterKind['changes'], rate: number, scale: number): Dropout {
  const buffers = new Map<string, Float32Array>();
  return {
    changes: (architecture, layer) =>
      changes(architecture, layer).flatMap(({ slot, tensors: [a, b] }) => [
        { ...direct(`${slot}A`, a!), inserted: { scaled: false } },
        { ...direct(`${slot}B`, b!), inserted: { scaled: true } },
      ]),
    masks: (architecture, layer, batch, moment) =>
      Object.fromEntries(
        changes(architecture, layer).map(({ slot, tensors: [a] }) => {
          const [name, width] = [a!.name, a!.shape[1] as number];
          const mask = maskFor(buffers, slot, batch, width);
          fillMask(mask.data as Float32Array, batch, { ...moment, name, rate, kept: scale / (1 - rate) });
          return [`${slot}Mask`, mask];
        }),
      ),
  };
}

/** Room for a mask, used again for other layers and batches. */
function maskFor(
  buffers: Map<string, Float32Array>,
  slot: string,
  { size, length }: PackedBatch,
  width: number,
): Tensor {
  const count = size * length * width;
  const found = buffers.get(slot);
  const buffer = found !== undefined && found.length >= count ? found : new Float32Array(count);
  buffers.set(slot, buffer);
  return { dtype: 'float32', shape: [size, length, width], data: buffer.subarray(0, count) };
}

/** The head by PEFT's name. */
function headOf(architecture: Architecture): Change {
  const change = wholeHead(architecture);
  const name = `base_model.model.${headModule}.weight`;
  return { ...change, tensors: change.tensors.map((tensor) => ({ ...tensor, name })) };
}

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

/** As transformers calls it in every family, whatever the hub's name of its tensor. */
const headModule = 'lm_head';

const moduleOf = ({ name }: Slot) => name.split('.').at(-2) as string;

/** The module's place in PEFT's model around transformers'. */
const pathOf = ({ omitted = '' }: Architecture, { name }: Slot) =>
  `base_model.model.${omitted}${name.replace(/\.weight$/, '')}`;

const linearModules = (architecture: Architecture) =>
  Object.values(architecture.block(0))
    .filter(({ shape }) => shape.length === 2)
    .map(moduleOf);
