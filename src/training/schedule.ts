// Learning rate schedules with warm-up.

export type ScheduleName = 'constant' | 'linear' | 'cosine';

/**
 * What the peak learning rate is multiplied by at a step (counted from 0), as transformers' schedules with warm-up do:
 * a linear rise over `warmup` steps, then constant, or down to 0 at `steps` in a line or half a cosine.
 */
export function learningRateFactor(
  schedule: ScheduleName,
  step: number,
  steps: number,
  warmup: number,
): number {
  if (step < warmup) return step / Math.max(1, warmup);
  const progress = (step - warmup) / Math.max(1, steps - warmup);
  switch (schedule) {
    case 'constant':
      return 1;
    case 'linear':
      return Math.max(0, 1 - progress);
    case 'cosine':
      return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
}
