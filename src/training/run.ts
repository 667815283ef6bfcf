// The training loop: when to evaluate, when to save a checkpoint, which step is best.
import { OffsiteError } from '../api/index.ts';
import type { Evaluation, TrainingState } from './state.ts';

export interface Training {
  readonly state: TrainingState;
  /** Of the whole training. */
  readonly steps: number;
  /** Evaluated is after so many steps, before the first and after the last; saved after so many and after the last. */
  readonly evalSteps: number;
  readonly checkpointSteps: number;
  /** One step of the optimiser, which changes the state as a whole; its loss. */
  step(): Promise<number>;
  /** What the weights are worth as they are; absent where there is nothing to evaluate on. */
  evaluate?: (() => Promise<Omit<Evaluation, 'step'>>) | undefined;
  /** Whether evaluations choose the best step; true when absent. The last step's weights are the best where nothing chooses. */
  chooses?: boolean;
  save(): Promise<void>;
  /** Told of each step, and of what the latest evaluation found. */
  progress(loss: number, evaluated: Evaluation | undefined): void;
}

/**
 * Trains from where the state is to the last step, and keeps the values of the step that was evaluated best.
 * @throws OffsiteError Cancelled after the state was saved
 */
export async function runTraining(training: Training): Promise<void> {
  const { state, steps, checkpointSteps } = training;
  const { record } = state;
  try {
    // Also after a resume: a stop during an evaluation leaves it to be made.
    await evaluateWhenDue(training);
    while (record.step < steps) {
      const loss = await training.step();
      await evaluateWhenDue(training);
      training.progress(loss, record.evaluations.at(-1));
      if (record.step === steps || record.step % checkpointSteps === 0) await training.save();
    }
  } catch (error) {
    // Stopped between two steps or in the middle of one: the weights are those of the last whole step.
    if (error instanceof OffsiteError && error.reason === 'Cancelled' && record.step > 0)
      await training.save();
    throw error;
  }
}

async function evaluateWhenDue({
  state,
  steps,
  evalSteps,
  evaluate,
  chooses = true,
}: Training): Promise<void> {
  const { record } = state;
  const last = record.step === steps;
  const isChosen = evaluate !== undefined && chooses;
  if (!isChosen && last) keepBest(state);
  if (evaluate === undefined) return;
  const isDue = last || record.step % evalSteps === 0;
  if (!isDue || record.evaluations.at(-1)?.step === record.step) return;
  const found = { step: record.step, ...(await evaluate()) };
  if (isChosen && record.step > 0 && isBest(record.evaluations, found)) keepBest(state);
  record.evaluations.push(found);
}

function isBest(earlier: readonly Evaluation[], found: Evaluation): boolean {
  return earlier.every(({ step, loss }) => step === 0 || found.loss < loss);
}

function keepBest({ record, tensors }: TrainingState): void {
  record.bestStep = record.step;
  for (const { best, values } of tensors) best.set(values);
}
