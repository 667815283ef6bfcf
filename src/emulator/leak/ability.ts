// How much of the full model's ability an emulator keeps, counted from the quality of a model that has none.
import type { MetricName } from '../../evaluation/index.ts';

/** CPL: how much of the full model's ability the emulator keeps; accuracy(emulator) / accuracy(full) or perplexity(full) / perplexity(emulator); of none there is no share. */
export function keptAbility(
  metric: MetricName,
  { full, emulator }: { readonly full: number; readonly emulator: number },
): number | undefined {
  if (metric === 'perplexity') return full / emulator;
  return full === 0 ? undefined : emulator / full;
}

/**
 * The share of what the full model gains over `nothing` that the emulator has too: 0 is no better than nothing, 1 the full
 * model's. Undefined where the full model gains nothing.
 */
export function shareOfGain({
  full,
  emulator,
  nothing,
}: {
  readonly full: number;
  readonly emulator: number;
  readonly nothing: number;
}): number | undefined {
  return full > nothing ? (emulator - nothing) / (full - nothing) : undefined;
}
