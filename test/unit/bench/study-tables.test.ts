import { expect, test } from 'vitest';
import type { Finding } from '../../../bench/study/experiment.ts';
import { studyPage } from '../../../bench/study/tables.ts';

const finding = (setting: string, full: boolean, rows: Partial<Finding['rows']>): Finding => ({
  ...{ key: setting, setting, model: 'smollm2', task: 'words', seed: 1, full, build: {} },
  ...{ exactShare: { tensors: 0.5, parameters: 0.21 }, seconds: { build: 60, tune: 90 } },
  rows: {
    ...{ fullZeroShot: '1100000000', emulatorZeroShot: '0000000000' },
    ...{ emulatorFineTuned: '1000000000', plugIn: '1111000000', ...rows },
  },
});

test('recovered is the plug-in gain as a share of what the same training in the full model gains', () => {
  const page = studyPage([
    finding('full model, LoRA', true, { plugIn: '1111111000' }),
    finding('low rank 0.35, no exact layer', false, {}),
  ]);
  // (0.4 - 0.2) / (0.7 - 0.2), and 0.1 - 0.2.
  expect(page).toMatch(
    /\| low rank 0\.35, no exact layer \| 1 \| 21\.0 % \| 0\.000 ± 0\.000 \| 0\.100 ± 0\.\d+ \| 0\.400 ± 0\.\d+ \| 0\.40 \[0\.\d+, 1\.00\] \| -0\.10 \[-0\.\d+, 0\.00\] \| 60 \| 90 \|/,
  );
});

test('a setting whose bound was not run with its seed has no share', () => {
  const page = studyPage([finding('low rank 0.35, no exact layer', false, {})]);
  expect(page).toContain('± 0.');
  expect(page).toMatch(/\| 0\.400 ± 0\.\d+ \|\s+\| -0\.10/);
});
