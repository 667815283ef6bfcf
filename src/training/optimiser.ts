// The arithmetic of AdamW and of gradient clipping.

/** AdamW's settings (arXiv 1711.05101); `weightDecay` is decoupled; eps is 1e-8, as in PyTorch. */
export interface AdamWOptions {
  betas: readonly [number, number];
  weightDecay: number;
}

const epsilon = 1e-8;

/** First and second moment of one tensor. */
export interface Moments {
  first: Float32Array;
  second: Float32Array;
}

/**
 * One AdamW update in place, as torch.optim.AdamW computes it.
 * @param step counted from 1
 * @param scale what each gradient is multiplied by (clipping)
 */
export function adamW(
  weights: Float32Array,
  gradient: Float32Array,
  { first, second }: Moments,
  step: number,
  learningRate: number,
  scale: number,
  { betas, weightDecay }: AdamWOptions,
): void {
  const [beta1, beta2] = betas;
  const stepSize = learningRate / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  const decay = 1 - learningRate * weightDecay;
  for (let i = 0; i < weights.length; i++) {
    const g = (gradient[i] as number) * scale;
    const m = beta1 * (first[i] as number) + (1 - beta1) * g;
    const v = beta2 * (second[i] as number) + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    weights[i] = (weights[i] as number) * decay - (stepSize * m) / (Math.sqrt(v) * correction + epsilon);
  }
}

/** The Euclidean norm over all gradients, in float64. */
export function globalNorm(gradients: Iterable<Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) sum += (gradient[i] as number) * (gradient[i] as number);
  }
  return Math.sqrt(sum);
}

/** What gradients are multiplied by so that their norm is at most `limit`, as torch's clip_grad_norm_; 0 means no limit. */
export function clipScale(norm: number, limit: number): number {
  return limit > 0 && norm > limit ? limit / (norm + 1e-6) : 1;
}
