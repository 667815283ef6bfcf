// The ways to an emulator whose cost is measured: what their specs say, and what each asks of the model.
export interface Way {
  readonly name: string;
  /** Fields of EmulatorBuild's spec; a share of the model's layers stands as one of 30. */
  readonly build: Readonly<Record<string, unknown>>;
}

const lowRank = (more: object = {}) => ({
  strategy: 'none',
  compression: { type: 'lowRank', ratio: '0.35', ...more },
});
const width = (more: object = {}) => ({
  strategy: 'none',
  compression: { type: 'width', ratio: '0.7', ...more },
});
const kept = (strategy: string, more: object = {}) => ({ strategy, layers: 24, sharing: 'none', ...more });

/** The first is what the others stand beside: layers are chosen by similarity, and nothing else is observed. */
export const ways: readonly Way[] = [
  { name: 'crash', build: kept('crash') },
  { name: 'uniform', build: kept('uniform') },
  { name: 'angular', build: kept('angular') },
  { name: 'sleb', build: { strategy: 'sleb', layers: 28, sharing: 'none' } },
  { name: 'laco', build: kept('crash', { compression: { type: 'laco' } }) },
  { name: 'quantize, 8 bits', build: { strategy: 'none', compression: { type: 'quantize', bits: 8 } } },
  { name: 'low rank', build: lowRank() },
  { name: 'low rank, ratios by loss', build: lowRank({ ratios: 'loss' }) },
  { name: 'low rank by gradient', build: lowRank({ select: 'gradient' }) },
  { name: 'width by flap', build: width() },
  { name: 'width by wanda', build: width({ score: 'wanda' }) },
  { name: 'width by taylor', build: width({ score: 'taylor' }) },
  { name: 'width by gradient', build: width({ score: 'gradient' }) },
  {
    name: 'low rank, distilled for 10 steps',
    build: { ...lowRank(), refine: { type: 'distil', steps: 10, batchSize: 8 } },
  },
];
