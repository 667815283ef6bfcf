import { z } from 'zod';

/** Rotary position embedding's parameters as config.json has them: `rope_parameters` (new) or `rope_scaling` (old). */
const scalingSchema = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().optional(),
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
});

export const ropeFields = {
  rope_theta: z.number().positive().nullish(),
  rope_scaling: scalingSchema.nullish(),
  rope_parameters: scalingSchema.nullish(),
  max_position_embeddings: z.int().positive().default(2048),
};

export interface RopeConfig {
  type: 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn';
  theta: number;
  /** Dimensions that are rotated: all of a head's. */
  size: number;
  maxPositions: number;
  scaling: z.infer<typeof scalingSchema>;
}

const ropeTypes: readonly string[] = [
  'default',
  'linear',
  'dynamic',
  'llama3',
  'yarn',
] satisfies RopeConfig['type'][];

/** Reads both spellings; theta is 10000 only where neither names it. Undefined when the type is not supported. */
export function parseRope(
  config: z.infer<z.ZodObject<typeof ropeFields>>,
  size: number,
): RopeConfig | { unsupported: string } {
  const scaling = config.rope_parameters ?? config.rope_scaling ?? {};
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  if (!ropeTypes.includes(type)) return { unsupported: type };
  const theta = scaling.rope_theta ?? config.rope_theta ?? 10_000;
  return {
    type: type as RopeConfig['type'],
    theta,
    size,
    maxPositions: config.max_position_embeddings,
    scaling,
  };
}

/** cos and sin of every position's angles, each [positions, size/2], row-major. */
export function ropeTables(config: RopeConfig, positions: number): { cos: Float32Array; sin: Float32Array } {
  const { frequencies, magnitude } = inverseFrequencies(config, positions);
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
  positions: number,
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
      const length = Math.max(positions, maxPositions);
      const grown = theta * ((factor * length) / maxPositions - (factor - 1)) ** (size / (size - 2));
      return { frequencies: plain(grown), magnitude: 1 };
    }
    case 'llama3':
      return { frequencies: plain(theta).map((f) => llama3(f, factor, scaling, maxPositions)), magnitude: 1 };
    case 'yarn':
      return yarn(plain(theta), config, factor);
  }
}

function llama3(
  frequency: number,
  factor: number,
  scaling: RopeConfig['scaling'],
  maxPositions: number,
): number {
  const original = scaling.original_max_position_embeddings ?? maxPositions;
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
  { theta, size, scaling, maxPositions }: RopeConfig,
  factor: number,
): { frequencies: Float32Array; magnitude: number } {
  const original = scaling.original_max_position_embeddings ?? maxPositions;
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
