// Rotary position embedding (RoPE): its configuration, its scalings and its tables.
import { z } from 'zod';
import { badModel, listOf } from '../api/index.ts';
import { agreed } from './agreed.ts';

/** Rotary position embedding's parameters as config.json has them: `rope_parameters` (new) or `rope_scaling` (old). */
export const ropeScaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: z.number().positive().optional(),
  attention_factor: z.number().nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().optional(),
  short_factor: listOf(z.number().positive()).optional(),
  long_factor: listOf(z.number().positive()).optional(),
});
type Scaling = z.infer<typeof ropeScaling>;

export const ropeFields = {
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeScaling.nullish(),
  rope_parameters: ropeScaling.nullish(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  max_position_embeddings: z.int().positive().default(2048),
  original_max_position_embeddings: z.int().positive().nullish(),
};

export interface RopeConfig {
  type: RopeType;
  theta: number;
  /** Dimensions of a head that are rotated. */
  size: number;
  maxPositions: number;
  /** The positions that the model was first trained on. */
  originalPositions: number;
  scaling: Scaling;
}

type RopeType = 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn' | 'longrope';

const ropeTypes: Readonly<Record<string, RopeType>> = {
  default: 'default',
  linear: 'linear',
  dynamic: 'dynamic',
  llama3: 'llama3',
  yarn: 'yarn',
  longrope: 'longrope',
};

const commonNames = { theta: 'rope_theta', share: 'partial_rotary_factor' };

/** Without these transformers opens no model of the type. */
const required: Readonly<Record<RopeType, readonly (keyof Scaling)[]>> = {
  default: [],
  linear: ['factor'],
  dynamic: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor'],
  yarn: ['factor'],
  longrope: ['short_factor', 'long_factor'],
};

/** What differs between families. */
export interface RopeRules {
  /** Where config.json does not name it. */
  theta?: number;
  /** The share of a head that is rotated where config.json does not name it; always the whole head when absent. */
  share?: number;
  /** What config.json calls both beside `rope_parameters`: `rope_theta` and `partial_rotary_factor` when absent. */
  names?: { theta: string; share: string };
  /** The types by the names that config.json has for them. */
  types?: Readonly<Record<string, RopeType>>;
}

/**
 * Reads both spellings, as transformers does (modeling_rope_utils.py).
 * @param headSize numbers of a head
 * @throws OffsiteError BadModel naming a type that is not supported, a number that it lacks, factors of another number than the
 * dimensions, or one setting that stands in two places and differs
 */
export function parseRope(
  config: z.infer<z.ZodObject<typeof ropeFields>>,
  headSize: number,
  { theta = 10_000, share, names = commonNames, types = ropeTypes }: RopeRules = {},
): RopeConfig {
  const scaling = scalingOf(config);
  const named = scaling.rope_type ?? scaling.type ?? 'default';
  const type = Object.hasOwn(types, named) ? types[named] : undefined;
  if (type === undefined)
    throw badModel(`config.json: rope_type ${named} is not supported (${Object.keys(types).join(', ')} are)`);
  // Only yarn takes null, as the ratio of both lengths
  for (const field of required[type])
    if (scaling[field] === undefined || (scaling[field] === null && type !== 'yarn'))
      throw badModel(`config.json: rope_type ${named} has no ${field}`);
  const size = rotated(config, scaling, headSize, share, names.share);
  for (const field of type === 'longrope' ? (['short_factor', 'long_factor'] as const) : [])
    if (scaling[field]?.length !== size / 2)
      throw badModel(`config.json: ${field} of rope_type longrope must have ${size / 2} numbers`);
  const rope = {
    type,
    theta:
      agreed([names.theta, config.rope_theta], ['rope_parameters.rope_theta', scaling.rope_theta]) ?? theta,
    size,
    maxPositions: config.max_position_embeddings,
    originalPositions: originalPositions(config, scaling, type),
    scaling,
  };
  checkAngles(rope);
  return rope;
}

/** The one of both spellings that is there. */
function scalingOf({ rope_parameters, rope_scaling }: z.infer<z.ZodObject<typeof ropeFields>>): Scaling {
  const filled = (scaling: Scaling | null | undefined) =>
    scaling && Object.keys(scaling).length > 0 ? scaling : undefined;
  return agreed(['rope_scaling', filled(rope_scaling)], ['rope_parameters', filled(rope_parameters)]) ?? {};
}

/** Dimensions of a head that are rotated. */
function rotated(
  { partial_rotary_factor }: z.infer<z.ZodObject<typeof ropeFields>>,
  scaling: Scaling,
  headSize: number,
  share: number | undefined,
  name: string,
): number {
  const named = agreed(
    [name, partial_rotary_factor],
    ['rope_parameters.partial_rotary_factor', scaling.partial_rotary_factor],
  );
  if (share === undefined && named !== undefined && named !== 1)
    throw badModel('config.json: partial_rotary_factor: this family rotates whole heads');
  const size = Math.floor(headSize * (named ?? share ?? 1));
  if (size === 0 || size % 2 !== 0)
    throw badModel(
      `config.json: ${size} of a head's ${headSize} numbers would be rotated; they must be an even number`,
    );
  return size;
}

function originalPositions(
  {
    original_max_position_embeddings: outer,
    max_position_embeddings,
  }: z.infer<z.ZodObject<typeof ropeFields>>,
  { original_max_position_embeddings: inner }: Scaling,
  type: RopeType,
): number {
  if (type === 'default' || type === 'linear' || type === 'dynamic') return max_position_embeddings;
  if (outer === null)
    throw badModel(`config.json: original_max_position_embeddings is null, and rope_type ${type} needs it`);
  return (
    agreed(
      ['original_max_position_embeddings', outer],
      ['rope_parameters.original_max_position_embeddings', inner],
    ) ?? max_position_embeddings
  );
}

/** @throws OffsiteError BadModel where a base or a factor is so small or large that angles are no numbers */
function checkAngles(rope: RopeConfig): void {
  for (const longest of [1, Math.max(rope.maxPositions, rope.originalPositions) + 1]) {
    const { frequencies, magnitude } = inverseFrequencies(rope, longest);
    // yarn divides by the base's logarithm
    const lacksBase = rope.type === 'yarn' && rope.theta === 1;
    if (lacksBase || !Number.isFinite(magnitude) || !frequencies.every(Number.isFinite))
      throw badModel(
        `config.json: rope_theta ${rope.theta} and the factors of rope_type ${rope.type} give angles that are no numbers`,
      );
  }
}

/** Whether angles depend on how long the row is, not on the place in it alone. */
export const followsLength = ({ type }: RopeConfig): boolean => type === 'dynamic' || type === 'longrope';

/** What of a row's length its angles follow from: rows of one value have the same at each place. */
export function lengthClass({ type, maxPositions, originalPositions }: RopeConfig, length: number): number {
  if (type === 'dynamic') return Math.max(length, maxPositions);
  return type === 'longrope' && length > originalPositions ? 1 : 0;
}

/**
 * cos and sin of every position's angles, each [positions, size/2], row-major.
 * @param longest tokens of the row: some scalings depend on it
 */
export function ropeTables(
  config: RopeConfig,
  positions: number,
  longest: number,
): { cos: Float32Array; sin: Float32Array } {
  const { frequencies, magnitude } = inverseFrequencies(config, longest);
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let t = 0; t < positions; t++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(t * (frequencies[i] as number));
      cos[t * half + i] = Math.cos(angle) * magnitude;
      sin[t * half + i] = Math.sin(angle) * magnitude;
    }
  }
  return { cos, sin };
}

/** theta^(-2i/size) under each scaling (transformers, modeling_rope_utils.py), and what cos and sin are multiplied by. */
function inverseFrequencies(
  config: RopeConfig,
  longest: number,
): { frequencies: Float32Array; magnitude: number } {
  const { type, theta, size, scaling, maxPositions } = config;
  const factor = scaling.factor ?? 1;
  const plain = (base: number) =>
    Float32Array.from({ length: size / 2 }, (_, i) => base ** ((-2 * i) / size));
  switch (type) {
    case 'default':
      return { frequencies: plain(theta), magnitude: 1 };
    case 'linear':
      return { frequencies: plain(theta).map((f) => f / factor), magnitude: 1 };
    case 'dynamic': {
      // NTK-aware: the base grows with the length once it passes what the model was trained on.
      const length = Math.max(longest, maxPositions);
      const grown = theta * ((factor * length) / maxPositions - (factor - 1)) ** (size / (size - 2));
      return { frequencies: plain(grown), magnitude: 1 };
    }
    case 'llama3':
      return { frequencies: plain(theta).map((f) => llama3(f, factor, config)), magnitude: 1 };
    case 'yarn':
      return yarn(plain(theta), config);
    case 'longrope':
      return longrope(plain(theta), config, longest);
  }
}

function llama3(
  frequency: number,
  factor: number,
  { scaling, originalPositions: original }: RopeConfig,
): number {
  const low = scaling.low_freq_factor as number;
  const high = scaling.high_freq_factor as number;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

function yarn(
  plain: Float32Array,
  { theta, size, scaling, maxPositions, originalPositions: original }: RopeConfig,
): { frequencies: Float32Array; magnitude: number } {
  const factor = scaling.factor ?? maxPositions / original;
  const scale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const magnitude =
    scaling.attention_factor ??
    // Where one is 0, neither counts (transformers; so with beta_fast and beta_slow)
    (scaling.mscale && scaling.mscale_all_dim
      ? scale(scaling.mscale) / scale(scaling.mscale_all_dim)
      : scale(1));
  // The dimension that turns `rotations` times within the original length.
  const dimension = (rotations: number) =>
    (size * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const whole = scaling.truncate ?? true;
  const low = dimension(scaling.beta_fast || 32);
  const high = dimension(scaling.beta_slow || 1);
  const from = Math.max(whole ? Math.floor(low) : low, 0);
  const to = Math.min(whole ? Math.ceil(high) : high, size - 1);
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(1, Math.max(0, (i - from) / (to === from ? 0.001 : to - from)));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  return { frequencies, magnitude };
}

/** Each frequency is divided by a factor of its own, one list up to the original length and one beyond (arXiv 2402.13753). */
function longrope(
  plain: Float32Array,
  { scaling, maxPositions, originalPositions: original }: RopeConfig,
  longest: number,
): { frequencies: Float32Array; magnitude: number } {
  const factor = scaling.factor ?? maxPositions / original;
  const magnitude =
    scaling.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
  const factors = (longest > original ? scaling.long_factor : scaling.short_factor) as number[];
  return { frequencies: plain.map((f, i) => f / (factors[i] as number)), magnitude };
}
