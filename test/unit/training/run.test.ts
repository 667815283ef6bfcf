import { expect, test } from 'vitest';
import { cancelled } from '../../../src/api/index.ts';
import { runTraining } from '../../../src/training/index.ts';
import type { TrainingState } from '../../../src/training/state.ts';

/** A state whose one number is the step that it stands at. */
function stateAt(step: number): TrainingState {
  const values = Float32Array.of(step);
  const tensor = { name: 'a', shape: [1], values, first: values, second: values, best: values.slice() };
  const record = { step, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0, losses: [], evaluations: [] };
  return { record: { ...record, bestStep: 0 }, tensors: [tensor] };
}

interface Played {
  /** What evaluations find, by step; none are made where they are absent. */
  losses?: Record<number, number>;
  /** The step in which training is stopped. */
  stopsIn?: number;
}

/** Trains six steps, evaluated every two and saved every three. */
async function played(state: TrainingState, { losses, stopsIn }: Played = {}) {
  const saved: number[] = [];
  const evaluated: number[] = [];
  const { record, tensors } = state;
  const ended = runTraining({
    ...{ state, steps: 6, evalSteps: 2, checkpointSteps: 3 },
    async step() {
      if (record.step + 1 === stopsIn) throw cancelled('stopped');
      record.step += 1;
      tensors[0]!.values[0] = record.step;
      return 1;
    },
    evaluate:
      losses &&
      (async () => {
        evaluated.push(record.step);
        return { loss: losses[record.step]!, cell: { value: 0, stderr: 0 } };
      }),
    async save() {
      saved.push(record.step);
    },
    progress() {},
  });
  const error = await ended.then(
    () => undefined,
    (reason: Error) => reason.message,
  );
  return { saved, evaluated, error, best: tensors[0]!.best[0], bestStep: record.bestStep };
}

test('the best step is the first of the lowest loss; how it was before the first counts for nothing', async () => {
  const found = await played(stateAt(0), { losses: { 0: 0, 2: 3, 4: 2, 6: 2 } });
  expect(found).toEqual({
    saved: [3, 6],
    evaluated: [0, 2, 4, 6],
    error: undefined,
    best: 4,
    bestStep: 4,
  });
});

test('with nothing to evaluate on, the last step is the best', async () => {
  expect(await played(stateAt(0))).toMatchObject({ saved: [3, 6], evaluated: [], best: 6, bestStep: 6 });
});

test('a stop saves the last whole step, and none before the first', async () => {
  expect(await played(stateAt(0), { stopsIn: 5 })).toMatchObject({ saved: [3, 4], error: 'stopped' });
  expect(await played(stateAt(0), { stopsIn: 1 })).toMatchObject({ saved: [], error: 'stopped' });
});

test('training goes on where the state is, and makes the evaluation that a stop had left', async () => {
  const found = await played(stateAt(4), { losses: { 4: 1, 6: 2 } });
  expect(found).toMatchObject({ saved: [6], evaluated: [4, 6], best: 4, bestStep: 4 });
});
