// The ways to an emulator whose cost is measured: what their specs say, and what each asks of the model.
import { removalBlocks } from '../../src/emulator/observe/removal.ts';

export interface Way {
  readonly name: string;
  /** Fields of EmulatorBuild's spec; a share of the model's layers stands as one of 30. */
  readonly build: Readonly<Record<string, unknown>>;
  /** Over the probe's rows, in words; one forward when absent. */
  readonly passes?: string;
}

const lowRank = (more: object = {}) => ({
  strategy: 'none',
  compression: { type: 'lowRank', ratio: '0.35', ...more },
});
const width = (more: object = {}) => ({
  strategy: 'none',
  compression: { type: 'width', ratio: '0.7', ...more },
});
const backward = '1, and 1 backward';
const kept = (strategy: string, more: object = {}) => ({ strategy, layers: 24, sharing: 'none', ...more });

/** The first is what the others stand beside: layers are chosen by similarity, and nothing else is observed. */
export const ways: readonly Way[] = [
  { name: 'crash', build: kept('crash') },
  { name: 'uniform', build: kept('uniform') },
  { name: 'angular', build: kept('angular') },
  {
    name: 'sleb',
    build: { strategy: 'sleb', layers: 28, sharing: 'none' },
    passes: `1, and the blocks of ${(removalBlocks(30, 2, 1) / 30).toFixed(0)}`,
  },
  { name: 'laco', build: kept('crash', { compression: { type: 'laco' } }) },
  { name: 'quantize, 8 bits', build: { strategy: 'none', compression: { type: 'quantize', bits: 8 } } },
  { name: 'low rank', build: lowRank() },
  { name: 'low rank, ratios by loss', build: lowRank({ ratios: 'loss' }) },
  { name: 'low rank by gradient', build: lowRank({ select: 'gradient' }), passes: backward },
  { name: 'width by flap', build: width() },
  { name: 'width by wanda', build: width({ score: 'wanda' }) },
  { name: 'width by taylor', build: width({ score: 'taylor' }), passes: backward },
  { name: 'width by gradient', build: width({ score: 'gradient' }), passes: backward },
  {
    name: 'low rank, distilled for 10 steps',
    build: { ...lowRank(), refine: { type: 'distil', steps: 10, batchSize: 8 } },
    passes: '1, and steps on 80 rows',
  },
];
