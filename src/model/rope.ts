// Rotary position embedding (RoPE): its configuration, its scalings and its tables.
import { z } from 'zod';
import { badModel, listOf } from '../api/index.ts';

/** Rotary position embedding's parameters as config.json has them: `rope_parameters` (new) or `rope_scaling` (old). */
export const ropeScaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().optional(),
  high_freq_factor: z.number().optional(),
  original_max_position_embeddings: z.number().optional(),
  attention_factor: z.number().optional(),
  beta_fast: z.number().optional(),
  beta_slow: z.number().optional(),
  mscale: z.number().optional(),
  mscale_all_dim: z.number().optional(),
  truncate: z.boolean().optional(),
  short_factor: listOf(z.number().positive()).optional(),
  long_factor: listOf(z.number().positive()).optional(),
});

export const ropeFields = {
  rope_theta: z.number().positive().nullish(),
  rope_scaling: ropeScaling.nullish(),
  rope_parameters: ropeScaling.nullish(),
  max_position_embeddings: z.int().positive().default(2048),
  original_max_position_embeddings: z.int().positive().nullish(),
};

export interface RopeConfig {
  type: (typeof ropeTypes)[number];
  theta: number;
  /** Dimensions of a head that are rotated. */
  size: number;
  maxPositions: number;
  /** The positions that the model was first trained on. */
  originalPositions: number;
  scaling: z.infer<typeof ropeScaling>;
}

const ropeTypes = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope'] as const;

/**
 * Reads both spellings.
 * @param size dimensions of a head that are rotated
 * @param theta where neither spelling names it
 * @throws OffsiteError BadModel naming a type that is not supported, or factors of another number than the dimensions
 */
export function parseRope(
  config: z.infer<z.ZodObject<typeof ropeFields>>,
  size: number,
  theta = 10_000,
): RopeConfig {
  const scaling = config.rope_parameters ?? config.rope_scaling ?? {};
  const named = scaling.rope_type ?? scaling.type ?? 'default';
  // Phi-3 was published under an earlier name of the same
  const type = ropeTypes.find((known) => known === (named === 'su' ? 'longrope' : named));
  if (type === undefined)
    throw badModel(`config.json: rope_type ${named} is not supported (${ropeTypes.join(', ')} are)`);
  for (const field of type === 'longrope' ? (['short_factor', 'long_factor'] as const) : [])
    if (scaling[field]?.length !== size / 2)
      throw badModel(`config.json: ${field} of rope_type longrope must have ${size / 2} numbers`);
  return {
    type,
    theta: scaling.rope_theta ?? config.rope_theta ?? theta,
    size,
    maxPositions: config.max_position_embeddings,
    originalPositions:
      config.original_max_position_embeddings ??
      scaling.original_max_position_embeddings ??
      config.max_position_embeddings,
    scaling,
  };
}

/** Whether angles depend on how long the row is, not on the place in it alone. */
export const followsLength = ({ type }: RopeConfig): boolean => type === 'dynamic' || type === 'longrope';

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
  const low = scaling.low_freq_factor ?? 1;
  const high = scaling.high_freq_factor ?? 4;
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
    (scaling.mscale !== undefined && scaling.mscale_all_dim !== undefined
      ? scale(scaling.mscale) / scale(scaling.mscale_all_dim)
      : scale(1));
  // The dimension that turns `rotations` times within the original length.
  const dimension = (rotations: number) =>
    (size * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const whole = scaling.truncate ?? true;
  const low = dimension(scaling.beta_fast ?? 32);
  const high = dimension(scaling.beta_slow ?? 1);
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
