// The attack matrix: who takes part, what they train, what is compared.
import type { Aggregation } from '../../src/api/index.ts';

/** Parties, the last of which are attackers. */
export const parties = 10;
export const attackers = 3;

/** Rows of each party, one after the other of the task's, and its training. */
export const rowsEach = 80;
export const course = {
  steps: 10,
  batchSize: 8,
  maxLength: 128,
  learningRate: '4e-4',
  schedule: 'cosine',
} as const;

/** The layers that are trained: the last ones, so that what lies below them is computed once for all cells. */
export const trainedLayers = 2;

/** Test rows, of the words alone. */
export const testRows = 300;
export type TaskName = 'words' | 'speeches';

export interface Compared {
  readonly name: string;
  readonly aggregation: Aggregation;
  /** What each counts; 1 when absent. */
  readonly weight?: string;
}

export const methods: readonly Compared[] = [
  { name: 'mean', aggregation: { method: 'mean' } },
  { name: 'median', aggregation: { method: 'median' } },
  { name: 'trimmedMean, trim 3', aggregation: { method: 'trimmedMean', trim: attackers } },
  { name: 'geometricMedian', aggregation: { method: 'geometricMedian' } },
  { name: 'krum, f = 3', aggregation: { method: 'krum', attackers } },
  { name: 'multiKrum, f = 3', aggregation: { method: 'multiKrum', attackers } },
  // 4 f + 3 adapters: of ten one may attack
  { name: 'bulyan, f = 1', aggregation: { method: 'bulyan', attackers: 1 } },
  { name: 'normClip', aggregation: { method: 'normClip' } },
  { name: 'lasa', aggregation: { method: 'lasa' } },
  {
    name: 'lasa, mad, bounds 3',
    aggregation: { method: 'lasa', spread: 'mad', normBound: '3', signBound: '3' },
  },
  { name: 'linear, weights 0.2', aggregation: { method: 'linear' }, weight: '0.2' },
  { name: 'ties', aggregation: { method: 'ties' } },
  { name: 'dareTies', aggregation: { method: 'dareTies' } },
];

/** The run without attackers in which the last parties have rows of another task. */
export const skewed = 'other task';
