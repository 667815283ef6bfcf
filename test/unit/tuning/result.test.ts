import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TaskData } from '../../../src/evaluation/index.ts';
import type { TrainingRecord } from '../../../src/training/state.ts';
import { resultOf, type TrainedAdapter, writeAdapter } from '../../../src/tuning/result.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'result-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const validation = { metric: 'acc', examples: new Array(8), batches: [] } as unknown as TaskData;
const cell = (value: number) => ({ value, stderr: 0.1 });

function trained(record: Partial<TrainingRecord>, more: Partial<TrainedAdapter> = {}): TrainedAdapter {
  const start = { step: 0, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0, losses: [] };
  const values = Float32Array.of(1, 2);
  return {
    state: {
      record: { ...start, evaluations: [], bestStep: 0, ...record },
      tensors: [{ name: 'a', shape: [2], values, first: values, second: values, best: values }],
    },
    steps: 6,
    validation,
    adapterFiles: {},
    work: { kind: 'Adapter', madeFrom: {}, hyperparameters: {} },
    ...more,
  };
}

test('a finished adapter without its checkpoints is reported with what its manifest says', async () => {
  const output = join(directory, 'adapter');
  const evaluations = [0, 3, 6].map((step) => ({ step, loss: 2 - step / 4, cell: cell(step / 10) }));
  const whole = trained({ step: 6, tokens: 60, losses: [2, 1], evaluations, bestStep: 3 });
  const digest = await writeAdapter({ output, own: join(directory, 'own') }, whole, () => {});
  const cells = {
    emulatorZeroShot: { value: '0.0000', stderr: '0.1000' },
    emulatorFineTuned: { value: '0.3000', stderr: '0.1000' },
  };
  const found = { validation: { metric: 'acc', samples: 8, cells } };
  const losses = { firstLoss: '2.0000', lastLoss: '1.0000', validationLoss: '1.2500' };
  expect(resultOf({ output, digest }, whole, 0)).toMatchObject({
    training: { steps: 6, bestStep: 3, tokens: 60, resumes: 0, ...losses },
    ...found,
  });
  expect(resultOf({ output, digest }, trained({}), 0)).toMatchObject({
    training: { steps: 6, bestStep: 3 },
    ...found,
  });
});

test('without validation rows there are no cells', async () => {
  const output = join(directory, 'adapter');
  const whole = trained({ step: 6, losses: [1], bestStep: 6 }, { validation: undefined });
  const digest = await writeAdapter({ output, own: join(directory, 'own') }, whole, () => {});
  const { training, validation: none } = resultOf({ output, digest }, whole, 10);
  expect([training['bestStep'], training['tokensPerSecond'], none]).toEqual([6, '10', undefined]);
});

test('another adapter at the output is not told of', async () => {
  const output = join(directory, 'adapter');
  const whole = trained({ step: 6, losses: [1], bestStep: 6 });
  const digest = await writeAdapter({ output, own: join(directory, 'own') }, whole, () => {});
  await writeAdapter({ output, own: join(directory, 'forger') }, trained({ step: 6, bestStep: 3 }), () => {});
  expect(() => resultOf({ output, digest }, whole, 0)).toThrow(`expected ${digest}`);
});
