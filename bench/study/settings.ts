// What the study compares: ways to make an emulator, what is trained on it, models, tasks and seeds.
export const models = {
  smollm2: 'SmolLM2-135M-Instruct',
  'gemma3-270m': 'Gemma 3 270M',
} as const;
export const tasks = {
  words: 'WordNet questions, 4 choices',
  spam: 'spam or not, 2 choices',
  speeches: 'the year of a speech, 4 choices',
} as const;

export type ModelName = keyof typeof models;
export type TaskName = keyof typeof tasks;

/** One way to make an emulator, and what is trained on it. */
export interface Setting {
  readonly name: string;
  /** Fields of EmulatorBuild's spec. */
  readonly build: Readonly<Record<string, unknown>>;
  readonly train: keyof typeof trainings;
  /** Whether the emulator is the model itself: what is trained on it is trained in the full model. */
  readonly full?: true;
  /** The only task that it is tried on; all when absent. */
  readonly task?: TaskName;
}

/** What is trained, with the learning rate that was chosen for it in the full model's own training. */
export const trainings = {
  layers: { adapter: { type: 'layers' }, learningRate: '5e-5' },
  lora: { adapter: { type: 'lora', rank: 8, alpha: 16 }, learningRate: '5e-4' },
  pairs: {
    adapter: { type: 'lora', rank: 8, alpha: 16 },
    learningRate: '5e-4',
    objective: { type: 'simpo' },
  },
} as const;

const noExactLayer = { transferLayers: { count: 0 } };
const lowRank = (ratio: string, more: object = {}) => ({
  strategy: 'none',
  compression: { type: 'lowRank', ratio, ...more },
});

export const settings: readonly Setting[] = [
  { name: 'full model, LoRA', build: { strategy: 'none', ...noExactLayer }, train: 'lora', full: true },
  {
    name: 'full model, four layers',
    build: { strategy: 'none', transferLayers: { count: 4 } },
    train: 'layers',
    full: true,
  },
  {
    name: 'crash, K = 80 %',
    build: { strategy: 'crash', layers: 'share 0.8', sharing: 'none' },
    train: 'layers',
  },
  {
    name: 'uniform, K = 80 %',
    build: { strategy: 'uniform', layers: 'share 0.8', sharing: 'none' },
    train: 'layers',
  },
  {
    name: 'crash, four layers only',
    build: { strategy: 'crash', layers: 4, sharing: 'none' },
    train: 'layers',
  },
  {
    name: 'uniform, four layers only',
    build: { strategy: 'uniform', layers: 4, sharing: 'none' },
    train: 'layers',
  },
  {
    name: 'crash, four layers only, LoRA',
    build: { strategy: 'crash', layers: 4, sharing: 'none' },
    train: 'lora',
  },
  {
    name: 'crash, K = 80 %, LoRA',
    build: { strategy: 'crash', layers: 'share 0.8', sharing: 'none' },
    train: 'lora',
  },
  ...['0.2', '0.35', '0.5'].map(
    (ratio): Setting => ({
      name: `low rank ${ratio}, no exact layer`,
      build: { ...lowRank(ratio), ...noExactLayer },
      train: 'lora',
    }),
  ),
  ...(['spread', 'top'] as const).map(
    (placement): Setting => ({
      name: `low rank 0.35, four exact layers (${placement})`,
      build: { ...lowRank('0.35'), transferLayers: { count: 4, placement } },
      train: 'layers',
    }),
  ),
  {
    name: 'low rank 0.35 by gradient, no exact layer',
    build: { ...lowRank('0.35', { select: 'gradient' }), ...noExactLayer },
    train: 'lora',
  },
  {
    name: 'low rank 0.35, distilled, no exact layer',
    build: { ...lowRank('0.35'), ...noExactLayer, refine: { type: 'distil', steps: 30 } },
    train: 'lora',
  },
  {
    name: 'low rank 0.35, no exact layer, pairs',
    build: { ...lowRank('0.35'), ...noExactLayer },
    train: 'pairs',
    task: 'spam',
  },
];

/** Whether a setting is tried on a task. */
export const isTried = (setting: Setting, task: TaskName): boolean =>
  setting.task === undefined || setting.task === task;

/** What the tables set all others beside. */
export const finalist = 'low rank 0.35, no exact layer';

/** Of nearly the finalist's exact share, by the ways that only leave out layers: what it must beat. */
export const rivals = ['crash, four layers only', 'uniform, four layers only'];

/** Of the finalist, so that a seed does not decide. */
export const wantedSeeds = 3;

/** What a setting is to reach: so much recovered, no more than this share exact, and a tuned emulator no better than the full model untuned. */
export const aim = { recovered: 0.8, exact: 0.3 };

/** How long a training is and where rows are cut, in tokens: a mail is four times as long as a question about a word. */
export const courses = {
  words: { steps: 80, batchSize: 8, maxLength: 128 },
  spam: { steps: 40, batchSize: 8, maxLength: 320 },
  speeches: { steps: 40, batchSize: 8, maxLength: 192 },
} as const satisfies Record<TaskName, object>;
/** Test rows that each cell is measured on. */
export const testRows = { words: 250, spam: 100, speeches: 150 } as const satisfies Record<TaskName, number>;
/** All test rows: of what the aim is told of, so that its intervals are as narrow as the rows allow. */
export const allTestRows = { words: 500, spam: 400, speeches: 400 } as const satisfies Record<
  TaskName,
  number
>;
/** Probe rows that are observed, and rows after them that the leak measures are of. */
export const probeRows = { samples: 128, scored: 64 };

/** How many test rows a run's cells are measured on: the first of them where others have more. */
export const rowsOf = ({ setting, model, task }: Experiment): number =>
  model === 'smollm2' && task === 'words' && (setting.name === finalist || setting.name === settings[0]!.name)
    ? allTestRows[task]
    : testRows[task];

/** On a task on which nothing was chosen: what `auto` finds within each of these leaks, beside the settings that are likely best there. */
export const autoTask = 'speeches' satisfies TaskName;
export const autoBudgets = ['0.3', '0.5'].map((leakAtMost) => ({
  leakAtMost,
  sizeAtMost: '0.6',
  exactAtMost: '0.3',
}));

/** Whose bundles are attacked, and how: budgets of the test's own kind of public rows, and how many test rows are asked at each. */
export const attacked = [finalist, 'crash, four layers only', 'crash, K = 80 %'];
export const attacks = { tokens: [4_000, 13_000, 40_000], testRows: 120 };

/** One run of the study. */
export interface Experiment {
  readonly setting: Setting;
  readonly model: ModelName;
  readonly task: TaskName;
  readonly seed: number;
}
