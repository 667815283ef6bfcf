// What is said of losses, gradients and scores that are not finite or are not there, and who may be at fault.
import { badModel } from '../api/index.ts';
import { type Example, hasTargets } from '../data/index.ts';
import type { Likelihoods } from '../evaluation/index.ts';
import type { Emit } from '../progress/index.ts';
import type { TrainingRecord } from '../training/index.ts';

/** The steps in which what a training began with may be at fault as well as its learning rate. */
const firstSteps = 2;

/**
 * What else than the learning rate may be at fault where a step has no numbers.
 * @param step counted from 1
 * @param hasStart whether the training goes on from an adapter
 */
export const suspectAt = (step: number, hasStart: boolean): string | undefined =>
  hasStart && step <= firstSteps ? 'the adapter of spec.start' : undefined;

/** @throws OffsiteError BadModel where training has led to scores that are no numbers */
export function refuseDiverged(
  loss: number,
  likelihoods: Likelihoods,
  { step }: Pick<TrainingRecord, 'step'>,
  hasStart: boolean,
): void {
  if (step === 0 || (!isLost(likelihoods) && Number.isFinite(loss))) return;
  const suspect = suspectAt(step, hasStart);
  throw badModel(
    `step ${step}: the training has diverged: the validation loss is not finite; lower spec.training.learningRate${suspect === undefined ? '' : `, or look at ${suspect}`}`,
  );
}

function isLost(likelihoods: Likelihoods): boolean {
  for (const { logLikelihood } of likelihoods) if (logLikelihood.some(Number.isNaN)) return true;
  return false;
}

/** Tells the data owner alone: how many there were is of the private rows. */
export function warnOfZeros({ rows }: Pick<TrainingRecord, 'rows'>, hasStart: boolean, emit: Emit): void {
  if (rows?.notFinite === undefined) return;
  const { notFinite, taken } = rows;
  const counted = `${notFinite} of ${taken} gradients of rows were not finite and counted as zero, so that privacy holds`;
  const made = madeBefore(hasStart);
  emit({
    type: 'warning',
    reason: 'RowsCountedAsZero',
    message:
      2 * notFinite > taken
        ? `${counted}: what was trained is noise for the most part, and ${made} is at fault, or spec.training.learningRate far too high: ask who made it before epsilon is spent again (docs/privacy.md)`
        : `${counted}: lower spec.training.learningRate, or ask who made ${made} (docs/privacy.md)`,
  });
}

/** Of rows that are hidden: that no adapter comes would tell what the emulator's tokenizer makes of them. */
export function warnOfNoTargets(rows: readonly Example[], emit: Emit): void {
  if (rows.some(hasTargets)) return;
  emit({
    type: 'warning',
    reason: 'NoTargets',
    message:
      'spec.data: has no row with a token to predict: the adapter is noise; put the rows right, or ask who made the emulator what its tokenizer makes of them (docs/privacy.md)',
  });
}

/** Ends nothing where rows are hidden: that no adapter comes would tell of them. */
export function warnOfNoLoss(
  { evaluations }: Pick<TrainingRecord, 'evaluations'>,
  hasStart: boolean,
  emit: Emit,
): void {
  const last = evaluations.at(-1);
  if (last === undefined || Number.isFinite(last.loss)) return;
  emit({
    type: 'warning',
    reason: 'NoValidationLoss',
    message: `the validation loss of step ${last.step} is not finite: the adapter may be worth nothing; lower spec.training.learningRate, or ask who made ${madeBefore(hasStart)} (docs/privacy.md)`,
  });
}

/** What others have made of a training. */
const madeBefore = (hasStart: boolean) =>
  hasStart ? 'the emulator or the adapter of spec.start' : 'the emulator';
