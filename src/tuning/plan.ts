// How the steps of a tuning are computed: by its longest row, or, where rows are hidden, by what the spec says of any.
import { type Example, tokenCount } from '../data/index.ts';
import { planTraining, type TrainingPlan } from '../training/index.ts';

/** What `planTraining` is given beside the rows. */
type Emulator = [
  blocks: Parameters<typeof planTraining>[0],
  size: Omit<Parameters<typeof planTraining>[1], 'longest' | 'rows'>,
];

export interface TuningRows {
  readonly examples: readonly Example[];
  /** Of a micro-batch. */
  readonly rows: number;
  /** Whether privacy hides them: then each is computed by itself. */
  readonly hidden: boolean;
  /** The most tokens of a prompt with one answer; and whether a row has two answers. */
  readonly maxLength: number;
  readonly pairs: boolean;
}

export interface TuningPlan {
  readonly plan: TrainingPlan;
  /**
   * What the identity of the work has, which stays in the work place: of hidden rows by the longest, as earlier versions have it. By
   * another identity a finished training would be made again, under another noise.
   */
  readonly named: TrainingPlan;
}

/**
 * The plan of a tuning. From hidden rows nothing of it follows: neither whether blocks are run again, nor whether it is refused.
 * @throws OffsiteError BadModel where a call, or the states of a batch, take far more than the memory
 */
export function planTuning(
  [blocks, size]: Emulator,
  { examples, rows, hidden, maxLength, pairs }: TuningRows,
): TuningPlan {
  const planOf = (longest: number) => planTraining(blocks, { ...size, longest, rows: hidden ? 1 : rows });
  const longest = examples.reduce((most, example) => Math.max(most, tokenCount(example)), 1);
  if (!hidden) {
    const plan = planOf(longest);
    return { plan, named: plan };
  }
  return { plan: planOf(maxLength * (pairs ? 2 : 1)), named: planOf(longest) };
}
