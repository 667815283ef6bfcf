// The four measurements of offsite-tuning: full model and emulator, each without and with the adapter, on equal rows.
import type { TaskResult } from '../api/index.ts';
import { type Bundle, emulatorWeights } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import {
  type Blamed,
  type Cell,
  comparedWith,
  likelihoodsOf,
  type Measurement,
  measurementOf,
  pairedBootstrap,
  type TaskData,
} from '../evaluation/index.ts';
import { Decoder, type Model, type Overlay, weightsOf } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import type { PluggableAdapter } from './adapter.ts';
import { type CellName, type CellValues, cellNames, exactOf, type MeasuredTask } from './measured.ts';

/** What the cells are measured of. */
export interface Sides {
  readonly model: Model;
  readonly bundle: Pick<Bundle, 'model' | 'layout' | 'plan'>;
  readonly adapter: PluggableAdapter;
  /** The adapter on the full model. */
  readonly plugged: Overlay;
}

export interface CellOptions {
  readonly engine: Engine;
  /** Bytes for decoded weights and hidden states. */
  readonly memory: number;
  readonly emit: Emit;
  /** Of the differences' bootstrap. */
  readonly resamples: number;
  readonly seed: number;
}

/**
 * Measures every cell on every task: the full model's own weights, the bundle's own, and each with the adapter.
 * @throws OffsiteError BadModel where a score is not a number, naming the adapter where it is none with it alone; Cancelled between
 * two blocks
 */
export async function measureCells(
  tasks: readonly TaskData[],
  sides: Sides,
  options: CellOptions,
): Promise<MeasuredTask[]> {
  const memory = options.memory / 2;
  const measured = tasks.map(() => ({}) as Record<CellName, Measurement>);
  const compared = [...tasks];
  for (const cell of cellNames) {
    const decoder = decoders[cell](sides, { ...options, memory });
    for (const [i, task] of compared.entries()) {
      const likelihoods = await likelihoodsOf(decoder, task, {
        memory,
        stage: `plug: ${cell}`,
        emit: options.emit,
        blamed: blamed[cell](sides),
      });
      if (cell === reference) compared[i] = comparedWith(task, likelihoods);
      measured[i]![cell] = measurementOf(likelihoods, compared[i]!);
    }
  }
  return tasks.map((task, i) => resultOf(task, measured[i]!, options));
}

/**
 * The tasks, those whose metric compares pairs with what it compares them with.
 * @throws OffsiteError BadModel where a score is not a number, Cancelled between two blocks
 */
export async function withReferences(
  tasks: readonly TaskData[],
  sides: Sides,
  { engine, memory, emit }: Pick<CellOptions, 'engine' | 'memory' | 'emit'>,
): Promise<TaskData[]> {
  const decoder = decoders[reference](sides, { engine, memory: memory / 2 });
  const options = { memory: memory / 2, stage: `plug: ${reference}`, emit };
  const compared: TaskData[] = [];
  for (const task of tasks)
    compared.push(
      task.metric === 'pair_acc' ? comparedWith(task, await likelihoodsOf(decoder, task, options)) : task,
    );
  return compared;
}

/** What runs in each cell; `memory` is for decoded weights. */
export const decoders: Readonly<
  Record<CellName, (sides: Sides, options: Pick<CellOptions, 'engine' | 'memory'>) => Decoder>
> = {
  fullZeroShot: ({ model }, { engine, memory }) =>
    new Decoder(engine, model.architecture, weightsOf(model, { memory })),
  emulatorZeroShot: ({ bundle }, { engine, memory }) =>
    new Decoder(engine, bundle.model.architecture, emulatorWeights(bundle, { memory })),
  emulatorFineTuned: ({ bundle, adapter: trained }, { engine, memory }) => {
    const weights = emulatorWeights(bundle, { memory, adapter: trained.on(bundle.model) });
    return new Decoder(engine, bundle.model.architecture, weights);
  },
  plugIn: ({ model, plugged }, { engine, memory }) =>
    new Decoder(engine, model.architecture, weightsOf(model, { memory, overlay: plugged })),
};

/** Who is at fault where a cell has no numbers: the adapter, where all that was measured before it, without it, had some. */
const blamed: Readonly<Record<CellName, (sides: Sides) => Blamed | undefined>> = {
  fullZeroShot: () => undefined,
  emulatorZeroShot: () => ({ name: 'the emulator', remedy: 'check its weights' }),
  emulatorFineTuned: (sides) => withAdapter(sides, 'the emulator'),
  plugIn: (sides) => withAdapter(sides, 'the model'),
};

const withAdapter = ({ adapter: { origin } }: Sides, side: string): Blamed => ({
  name: `${origin.name}: with it ${side}`,
  remedy: `without it every score is one: ${origin.remedy()}`,
});

/** The cell that preference pairs are compared with; it is measured first. */
const reference: CellName = 'fullZeroShot';

/** The differences that say whether it was worth it: plug-in against each other cell, what the tuning did to the emulator, and what it lacks before and after. */
const differences: readonly [CellName, CellName][] = [
  ['plugIn', 'fullZeroShot'],
  ['plugIn', 'emulatorFineTuned'],
  ['plugIn', 'emulatorZeroShot'],
  ['emulatorFineTuned', 'emulatorZeroShot'],
  ['fullZeroShot', 'emulatorZeroShot'],
  ['fullZeroShot', 'emulatorFineTuned'],
];

function resultOf(
  task: TaskData,
  of: Readonly<Record<CellName, Measurement>>,
  { engine, resamples, seed }: CellOptions,
): MeasuredTask {
  const { metric } = task;
  const bootstrap = { resamples, seed, beforeEach: () => engine.throwIfCancelled() };
  const cells = cellNames.map((name) => [name, of[name].cell] as const);
  const samples = of.plugIn.scores.values.length;
  const values = Object.fromEntries(cells.map(([name, { value }]) => [name, value]));
  return {
    task: task.name,
    metric,
    samples,
    cells: Object.fromEntries(cells.map(([name, cell]) => [name, texts(cell)])) as TaskResult['cells'],
    ...exactOf({ metric, samples }, values as CellValues),
    differences: differences.map(([a, b]) => {
      const { value, stderr, interval } = pairedBootstrap(of[a].scores, of[b].scores, metric, bootstrap);
      return {
        name: `${a} - ${b}`,
        value: figure(value),
        stderr: figure(stderr),
        low: figure(interval[0]),
        high: figure(interval[1]),
      };
    }),
  };
}

const texts = ({ value, stderr }: Cell) => ({ value: figure(value), stderr: figure(stderr) });
const figure = (value: number) => value.toFixed(4);
