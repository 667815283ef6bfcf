import { expect, test } from 'vitest';
import { sameTraining } from '../../../src/tuning/same-training.ts';

const trained = { rows: 'sha256:0', order: { stepsPerEpoch: () => 3 }, modules: ['q_proj', 'v_proj'] };
const nameOf = (hyperparameters: Record<string, unknown>) =>
  sameTraining({ madeFrom: { emulator: 'sha256:1' }, hyperparameters }, trained);
const honest = { training: { steps: 6, batchSize: 4 }, adapter: { type: 'lora' } };

test('what somebody may have written as settings is none of ours, and is looked at without a fault', () => {
  const object = { toString: 1, valueOf: 1 };
  for (const odd of [
    { training: { epochs: object, batchSize: object } },
    { training: null, adapter: [], objective: 'x' },
    { objective: { type: 'simpo', beta: object } },
    { adapter: { type: 'lora', targetModules: object } },
  ])
    expect(nameOf({ ...honest, ...odd }), JSON.stringify(odd)).not.toBe(nameOf(honest));
});

test('a list of all maps is none, and epochs are as many steps', () => {
  const lora = { type: 'lora', targetModules: ['v_proj', 'q_proj'] };
  expect(nameOf({ ...honest, adapter: lora })).toBe(nameOf(honest));
  expect(nameOf({ ...honest, adapter: { ...lora, targetModules: ['v_proj'] } })).not.toBe(nameOf(honest));
  expect(nameOf({ ...honest, training: { epochs: 2, batchSize: 4 } })).toBe(nameOf(honest));
});
