// The preference runs: what each lowers, and what all share. The emulator is the quickstart's.
export interface Setting {
  readonly name: string;
  /** spec.objective. */
  readonly objective: Readonly<Record<string, string>>;
  readonly learningRate: string;
}

export const settings: readonly Setting[] = [
  { name: 'dpo', objective: { type: 'dpo', beta: '0.1' }, learningRate: '5e-4' },
  { name: 'orpo', objective: { type: 'orpo' }, learningRate: '5e-4' },
  { name: 'simpo', objective: { type: 'simpo' }, learningRate: '1e-4' },
];

export const course = { steps: 30, batchSize: 8, maxLength: 128, schedule: 'cosine', seed: 1 } as const;

/** Pairs that are trained on, each once, and test pairs that every cell is measured on. */
export const trainPairs = 240;
export const testPairs = 300;
