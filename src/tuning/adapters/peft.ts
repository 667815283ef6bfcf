// Compatibility with PEFT: its module names and its adapter_config.json.
import type { Architecture, Slot } from '../../model/index.ts';
import type { Change } from './adapter.ts';
import { wholeHead } from './direct.ts';

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

/** As transformers calls it in every family, whatever the hub's name of its tensor. */
const headModule = 'lm_head';

/** The last part of the name of a linear map's module. */
export const moduleOf = ({ name }: Slot) => name.split('.').at(-2) as string;

/** The module's place in PEFT's model around transformers'. */
export const pathOf = ({ omitted = '' }: Architecture, { name }: Slot) =>
  `base_model.model.${omitted}${name.replace(/\.weight$/, '')}`;

/** The head by PEFT's name. */
export function headOf(architecture: Architecture): Change {
  const change = wholeHead(architecture);
  const name = `base_model.model.${headModule}.weight`;
  return { ...change, tensors: change.tensors.map((tensor) => ({ ...tensor, name })) };
}

/** What an adapter's tensors say of the model. */
export interface LoraPlaces {
  /** The linear maps that change, by the last part of their module's name. */
  modules: readonly string[];
  layers: readonly number[];
  /** Whether the model keeps its linear maps as [from, to]. */
  transposed: boolean;
}

/** adapter_config.json, which PEFT asks for beside the tensors. */
export const peftConfig = (
  architecture: Architecture,
  layers: readonly number[],
  options: LoraOptions,
): string =>
  peftConfigOf(options, {
    modules: [...new Set(options.targetModules ?? linearModules(architecture, layers))],
    layers,
    transposed: slotsOf(architecture, layers).some(({ transposed }) => transposed),
  });

/** The same without the model at hand. */
export function peftConfigOf(
  { rank, alpha, dropout, head }: LoraOptions,
  { modules, layers, transposed }: LoraPlaces,
): string {
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: null,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: dropout,
    bias: 'none',
    target_modules: modules,
    ...(head ? { modules_to_save: [headModule] } : {}),
    layers_to_transform: layers,
    fan_in_fan_out: transposed,
    inference_mode: true,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The linear maps of some layers, by the last part of their modules' names. */
export const linearModules = (architecture: Architecture, layers: readonly number[]): string[] => [
  ...new Set(slotsOf(architecture, layers).filter(isLinear).map(moduleOf)),
];

const slotsOf = (architecture: Architecture, layers: readonly number[]): Slot[] =>
  layers.flatMap((layer) => Object.values(architecture.block(layer)));

const isLinear = ({ shape }: Slot) => shape.length === 2;
