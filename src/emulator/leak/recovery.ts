// The recovery curve: what an attacker's tuning makes of the emulator, and of a control that knew nothing.
import type { Cell, MetricName } from '../../evaluation/index.ts';

/** Both models after so many tokens of tuning. */
export interface RecoveryPoint {
  readonly tokens: number;
  readonly emulator: Cell;
  readonly control: Cell;
}

export interface Recovery {
  readonly metric: MetricName;
  /** Rows of the test. */
  readonly samples: number;
  readonly full: Cell;
  /** Ascending by tokens, of which the first is 0. */
  readonly points: readonly RecoveryPoint[];
  /** The quality halfway from the untuned control to the full model; absent where the full model is no better than that control. */
  readonly halfway?: number;
  /** The first point at which the emulator has it; absent where no point has. */
  readonly reachedAt?: number;
}

/** The curve with what is read off it. Of perplexities halfway is by their logarithm, in nats a token. */
export function recoveryOf(found: Omit<Recovery, 'halfway' | 'reachedAt'>): Recovery {
  const { metric, full, points } = found;
  const ability = (quality: number) => (metric === 'perplexity' ? -Math.log(quality) : quality);
  const [start, goal] = [ability(points[0]!.control.value), ability(full.value)];
  if (!(goal > start)) return found;
  const half = (start + goal) / 2;
  const reached = points.find(({ emulator }) => ability(emulator.value) >= half);
  return {
    ...found,
    halfway: metric === 'perplexity' ? Math.exp(-half) : half,
    ...(reached && { reachedAt: reached.tokens }),
  };
}
