// The LLaMA family, Mistral and Qwen2: configuration, tensor names, and a block that others vary.
import { z } from 'zod';
import type { PackedBatch } from '../../data/index.ts';
import type { Tensor } from '../../engine/index.ts';
import type { GraphBuilder, Value } from '../../graph/index.ts';
import type { Architecture, BlockContext, Family, Slots } from '../family.ts';
import {
  type Activation,
  activate,
  activationField,
  attention,
  channel,
  commonFields,
  gives,
  headRuns,
  headSlot,
  headsOf,
  type Inputs,
  linear,
  linearSlots,
  maskSide,
  normSlots,
  noSuchBias,
  parseConfig,
  rotarySides,
  takes,
  takesTiles,
  type WindowKind,
  windowFields,
  windowKinds,
} from '../parts/index.ts';
import { lengthClass, parseRope, type RopeConfig, ropeFields } from '../rope.ts';
import type { Cuts, Widths } from '../widths.ts';
import { ggufOf } from './gguf.ts';

/** What the classes of LLaMA and its kin refuse as a whole number. */
export const llamaFloats = ['initializer_range', 'rms_norm_eps'];

/** What LLaMA and its kin have in common; each adds what its own class has, with the defaults of that. */
export const llamaFields = {
  ...commonFields,
  intermediate_size: z.int().positive(),
  num_key_value_heads: z.int().positive().nullish(),
  head_dim: z.int().positive().nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: activationField.default('silu'),
  ...ropeFields,
};
const llamaSchema = z.looseObject({
  ...llamaFields,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

const mistralSchema = z.looseObject({
  ...llamaFields,
  num_key_value_heads: z.int().positive().default(8),
  max_position_embeddings: ropeFields.max_position_embeddings.default(131_072),
  sliding_window: windowFields.sliding_window,
  layer_types: z
    .undefined({ error: 'with it transformers reads the model as one of another family, ministral' })
    .optional(),
  attention_bias: noSuchBias,
  mlp_bias: noSuchBias,
});

/** What Qwen2 and Qwen3 have in common. */
export const qwenFields = {
  ...llamaFields,
  num_key_value_heads: z.int().positive().nullable().default(32),
  max_position_embeddings: ropeFields.max_position_embeddings.default(32_768),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.int().default(28),
  ...windowFields,
  mlp_bias: noSuchBias,
};
const qwen2Schema = z.looseObject({ ...qwenFields, head_dim: z.int().positive().optional() });

/** What a block is computed by, of whichever family's settings. */
export interface LlamaConfig extends z.output<z.ZodObject<typeof ropeFields>> {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads?: number | null | undefined;
  head_dim?: number | null | undefined;
  vocab_size: number;
  intermediate_size: number;
  rms_norm_eps: number;
  tie_word_embeddings: boolean;
  hidden_act: Activation;
  sliding_window?: number | null | undefined;
}

/** LLaMA (arXiv 2302.13971, 2307.09288). */
export const llama: Family = {
  name: 'llama',
  architectures: ['LlamaForCausalLM'],
  modelType: 'llama',
  settings: llamaSchema,
  floats: llamaFloats,
  parse: (config) => {
    const parsed = parseConfig(llamaSchema, config);
    const { attention_bias: bias, mlp_bias: mlpBias } = parsed;
    return new Llama('llama', parsed, { queryBias: bias, outputBias: bias, mlpBias });
  },
  gguf: ggufOf({ architecture: 'llama', hub: 'LlamaForCausalLM', interleaved: true }),
};

/** Mistral (arXiv 2310.06825): LLaMA whose tokens may see a window only. */
export const mistral: Family = {
  name: 'mistral',
  architectures: ['MistralForCausalLM'],
  modelType: 'mistral',
  settings: mistralSchema,
  floats: llamaFloats,
  parse: (config) => {
    const parsed = parseConfig(mistralSchema, config);
    const kind = windowKinds(parsed, parsed.sliding_window, () => true);
    return new Llama('mistral', parsed, { queryBias: false, outputBias: false, kind });
  },
};

/** Qwen2 (arXiv 2407.10671): LLaMA with biases for query, key and value, and windows from some layer on. */
export const qwen2: Family = {
  name: 'qwen2',
  architectures: ['Qwen2ForCausalLM'],
  modelType: 'qwen2',
  settings: qwen2Schema,
  floats: llamaFloats,
  parse: (config) => {
    const parsed = parseConfig(qwen2Schema, config);
    return new Llama('qwen2', parsed, { queryBias: true, outputBias: false, kind: qwenWindows(parsed) });
  },
  gguf: ggufOf({ architecture: 'qwen2', hub: 'Qwen2ForCausalLM', interleaved: false }),
};

/** Qwen's windows: only where they are switched on, and then from `max_window_layers` on. */
export function qwenWindows(config: z.output<z.ZodObject<typeof qwenFields>>): (layer: number) => WindowKind {
  const window = config.use_sliding_window ? config.sliding_window : null;
  return windowKinds(config, window, (layer) => layer >= config.max_window_layers);
}

interface LlamaOptions {
  queryBias: boolean;
  outputBias: boolean;
  /** Of all three maps of the MLP; none when absent. */
  mlpBias?: boolean;
  kind?: (layer: number) => WindowKind;
  /** The positions' angles for heads of a size, where config.json has them in another way; by kind of layer where they differ. */
  rope?: (headSize: number) => RopeConfig | ((kind: string) => RopeConfig);
  /** Of the attention's products: 1 / sqrt(head size) and no cap when absent. */
  scale?: number;
  cap?: number | undefined;
}

/** Rotary positions, grouped queries, gated MLP, RMSNorm before both; families that differ by more overrule a method. */
export class Llama implements Architecture {
  readonly family: string;
  readonly depth: number;
  readonly hidden: number;
  readonly vocabulary: number;
  readonly embedding;
  readonly head: Slots;
  readonly widths: Widths;
  readonly isTiled: boolean;
  readonly kind: (layer: number) => WindowKind;
  protected readonly config: LlamaConfig;
  protected readonly headSize: number;
  readonly #rope: (kind: string) => RopeConfig;
  readonly #options: LlamaOptions;

  constructor(family: string, config: LlamaConfig, options: LlamaOptions) {
    this.family = family;
    this.config = config;
    this.#options = options;
    this.depth = config.num_hidden_layers;
    this.hidden = config.hidden_size;
    this.vocabulary = config.vocab_size;
    const { size, heads, groups } = headsOf(
      this.hidden,
      config.num_attention_heads,
      config.num_key_value_heads,
      config.head_dim,
    );
    this.headSize = size;
    this.widths = { heads, groups, inner: config.intermediate_size };
    this.isTiled = takesTiles(size) && options.cap === undefined;
    const rope = options.rope?.(size) ?? parseRope(config, size);
    this.#rope = typeof rope === 'function' ? rope : () => rope;
    this.kind = options.kind ?? (() => 'full_attention');
    this.embedding = { name: 'model.embed_tokens.weight', shape: [this.vocabulary, this.hidden] };
    this.head = {
      ...normSlots('norm', 'model.norm', this.hidden),
      head: headSlot(this.embedding, config.tie_word_embeddings),
    };
  }

  get cuts(): Cuts {
    const { head, group } = headRuns(this.headSize);
    return {
      query: gives(head),
      key: gives(group),
      value: gives(group),
      output: takes(head),
      gate: gives(channel),
      up: gives(channel),
      down: takes(channel),
    };
  }

  block(layer: number, widths?: Partial<Widths>): Slots {
    const { hidden, headSize } = this;
    const { heads, groups, inner } = { ...this.widths, ...widths };
    const at = `model.layers.${layer}`;
    const [queries, keys] = [heads * headSize, groups * headSize];
    const [query, output] = [{ bias: this.#options.queryBias }, { bias: this.#options.outputBias }];
    const mlp = { bias: this.#options.mlpBias ?? false };
    return {
      ...normSlots('attentionNorm', `${at}.input_layernorm`, hidden),
      ...linearSlots('query', `${at}.self_attn.q_proj`, [queries, hidden], query),
      ...linearSlots('key', `${at}.self_attn.k_proj`, [keys, hidden], query),
      ...linearSlots('value', `${at}.self_attn.v_proj`, [keys, hidden], query),
      ...linearSlots('output', `${at}.self_attn.o_proj`, [hidden, queries], output),
      ...normSlots('mlpNorm', `${at}.post_attention_layernorm`, hidden),
      ...linearSlots('gate', `${at}.mlp.gate_proj`, [inner, hidden], mlp),
      ...linearSlots('up', `${at}.mlp.up_proj`, [inner, hidden], mlp),
      ...linearSlots('down', `${at}.mlp.down_proj`, [hidden, inner], mlp),
    };
  }

  side(batch: PackedBatch, kind: string): Record<string, Tensor> {
    const window = kind === 'sliding_attention' ? (this.config.sliding_window ?? undefined) : undefined;
    return { mask: maskSide(batch, window), ...rotarySides(batch, this.#rope(kind), this.#ropes) };
  }

  lengthClass(length: number): string {
    return this.#ropes.map((rope) => lengthClass(rope, length)).join();
  }

  /** The angles of every kind of layer. */
  get #ropes(): RopeConfig[] {
    const kinds = new Set(Array.from({ length: this.depth }, (_, layer) => this.kind(layer)));
    return Array.from(kinds, (kind) => this.#rope(kind));
  }

  buildBlock(context: BlockContext, x: Value): Value {
    const { g, w } = context;
    const attended = g.add(x, this.attend(context, this.norm(g, x, w, 'attentionNorm')));
    return g.add(attended, this.mlp(g, this.norm(g, attended, w, 'mlpNorm'), w));
  }

  buildHead(g: GraphBuilder, x: Value, w: Inputs): Value {
    return g.matmul(this.norm(g, x, w, 'norm'), w['head']!, { transB: true });
  }

  protected norm(g: GraphBuilder, x: Value, w: Inputs, slot: string): Value {
    return g.rmsNorm(x, w[slot]!, this.config.rms_norm_eps);
  }

  /** Queries, keys and values, side by side by head, before they are rotated. */
  protected project(g: GraphBuilder, x: Value, w: Inputs): [queries: Value, keys: Value, values: Value] {
    return [linear(g, x, w, 'query'), linear(g, x, w, 'key'), linear(g, x, w, 'value')];
  }

  protected attend(context: BlockContext, x: Value): Value {
    const { g, side, w } = context;
    const [queries, keys, values] = this.project(g, x, w);
    const rotate = (v: Value) => g.rotary(v, side['positions']!, side['cos']!, side['sin']!, this.headSize);
    const mixed = attention(context, rotate(queries), rotate(keys), values, {
      size: this.headSize,
      scale: this.#options.scale,
      cap: this.#options.cap,
      bias: [side['mask']!],
    });
    return linear(g, mixed, w, 'output');
  }

  protected mlp(g: GraphBuilder, x: Value, w: Inputs): Value {
    const gate = activate(g, linear(g, x, w, 'gate'), this.config.hidden_act);
    return linear(g, g.mul(gate, linear(g, x, w, 'up')), w, 'down');
  }
}
