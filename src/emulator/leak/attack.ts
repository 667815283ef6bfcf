// The leak test: an attacker tunes the whole emulator on public text, beside a control of the same shape with random weights.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  checkpointsOf,
  clearAt,
  identityOf,
  inPlace,
  type Keeper,
  namesToClear,
  readKeptJson,
  writeWhole,
} from '../../artifact/index.ts';
import {
  type Cursor,
  checkTargets,
  DataOrder,
  type Example,
  hasTargets,
  tokenCount,
} from '../../data/index.ts';
import type { Engine } from '../../engine/index.ts';
import { type Cell, measure, type TaskData } from '../../evaluation/index.ts';
import { Decoder, forTraining, type WeightSource, type Weights, withReplaced } from '../../model/index.ts';
import { type Emit, progressOf } from '../../progress/index.ts';
import { checkpointsOfTraining, crossEntropy, trainBlocks, trainedBlocks } from '../../training/index.ts';
import { type Emulator, emulatorWeights } from '../bundle.ts';
import { randomControl } from './control.ts';
import { type Recovery, recoveryOf } from './recovery.ts';

/** How the attacker tunes. */
export interface AttackOptions {
  /** Three budgets of one run, ascending. */
  readonly tokens: readonly number[];
  readonly learningRate: number;
  /** Rows of a step. */
  readonly batchSize: number;
  /** Of the order of the rows, and of the control's weights. */
  readonly seed: number;
}

export interface AttackInput {
  /** As the bundle holds it. */
  readonly emulator: Emulator;
  /** Tokenised public rows. */
  readonly examples: readonly Example[];
  readonly task: TaskData;
  /** What the full model does on it. */
  readonly full: Cell;
  /** A directory of this resource alone. */
  readonly own: string;
  /** All that emulator, rows and task depend on. */
  readonly madeFrom: Readonly<Record<string, string>>;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** Bytes for weights, moments, residuals and hidden states. */
  readonly memory: number;
  readonly keeper?: Keeper | undefined;
  readonly checkUnchanged: () => void;
  readonly emit: Emit;
}

const clipNorm = 1;
const checkpointSteps = 50;
const warmupShare = 0.1;
/** Shares of the memory. */
const shares = { trained: 3 / 4, frozen: 1 / 8, states: 1 / 8 };
/** What is left of a run that has ended. */
const endedFile = 'ended.json';

/**
 * Tunes emulator and control, one after the other, each in one run that is measured at its start and at every budget. All blocks
 * train, exact ones too; embedding, final norm and head stay as they are: the emulator's are the full model's.
 * @throws OffsiteError BadSpec where memory is too small; BadData where no row has a token to predict; Cancelled after a checkpoint
 */
export async function attack(engine: Engine, input: AttackInput, options: AttackOptions): Promise<Recovery> {
  const { emulator, task, full } = input;
  const examples = input.examples.filter(hasTargets);
  checkTargets(examples, 'spec.leakTest.data');
  const stops = stopsOf(examples, options);
  const last = stops.at(-1)!;
  const own = () => emulatorWeights(emulator, { memory: input.memory * shares.frozen });
  const runs: Record<'emulator' | 'control', () => WeightSource> = {
    emulator: own,
    control: () => endsKept(randomControl(own(), emulator.model, options.seed)),
  };
  const cells: Cell[][] = [];
  for (const [i, [name, source]] of Object.entries(runs).entries()) {
    const progressFrom = (done: number) => {
      const progress = progressOf('assemble: leak test', 2 * last, input.emit, i * last + done);
      const cost = [
        { name: 'steps', value: String(2 * last) },
        { name: 'tokens', value: String(2 * options.tokens.at(-1)!) },
      ];
      progress(0, cost);
      return progress;
    };
    cells.push(await run(engine, source, { ...input, examples, name, stops, progressFrom }, options));
  }
  const [ofEmulator, ofControl] = cells as [Cell[], Cell[]];
  return recoveryOf({
    ...{ metric: task.metric, samples: task.examples.length, full },
    points: [0, ...options.tokens].map((tokens, i) => ({
      ...{ tokens, emulator: ofEmulator[i]!, control: ofControl[i]! },
    })),
  });
}

/** After how many steps each budget is used up: the first at which so many tokens were trained on. */
export function stopsOf(
  examples: readonly Example[],
  { tokens, batchSize, seed }: Pick<AttackOptions, 'tokens' | 'batchSize' | 'seed'>,
): number[] {
  const order = new DataOrder(examples.length, seed);
  const whole = examples.reduce((sum, example) => sum + tokenCount(example), 0);
  let [step, done] = [0, 0];
  let cursor: Cursor = { epoch: 0, index: 0 };
  return tokens.map((budget) => {
    while (done < budget) {
      // At an epoch's end: those that are over before the budget is are counted as one. A budget may be any number of them.
      const epochs = cursor.index % examples.length === 0 ? Math.ceil((budget - done) / whole) - 1 : 0;
      if (epochs > 0) {
        done += epochs * whole;
        step += epochs * order.stepsPerEpoch(batchSize);
        cursor = { epoch: cursor.epoch + epochs, index: cursor.index };
      }
      const taken = order.take(cursor, batchSize);
      done += taken.places.reduce((sum, place) => sum + tokenCount(examples[place]!), 0);
      cursor = taken.cursor;
      step++;
    }
    return step;
  });
}

interface Run extends AttackInput {
  readonly name: string;
  readonly stops: readonly number[];
  progressFrom(done: number): ReturnType<typeof progressOf>;
}

/** What one model does at the start and at each stop; known from an earlier process where it has ended there. */
async function run(
  engine: Engine,
  sourceOf: () => WeightSource,
  { emulator, examples, task, memory, keeper = inPlace, name, stops, progressFrom, ...input }: Run,
  options: AttackOptions,
): Promise<Cell[]> {
  const { architecture } = emulator.model;
  const checkpoints = checkpointsOf(input.own);
  const identity = identityOf({
    madeFrom: input.madeFrom,
    hyperparameters: { ...input.hyperparameters, attack: { ...options }, run: name },
  });
  const directory = checkpointsOfTraining(checkpoints, identity);
  await keeper.pull(directory, { exact: false });
  const ended = readEnded(directory, identity);
  if (ended !== undefined) return ended;
  const source = sourceOf();
  const positions = Array.from({ length: source.depth }, (_, position) => position);
  const { batchSize, seed } = options;
  const { parts, plan } = trainedBlocks(source, architecture, positions, {
    ...{ examples, batchSize, memory: memory * shares.trained, field: 'spec.leakTest' },
  });
  const decoder = new Decoder(engine, architecture, withReplaced(source, parts), forTraining);
  const warmup = Math.ceil(stops[0]! * warmupShare);
  const { record } = await trainBlocks({
    ...{ engine, decoder, parts, examples, plan, batchSize, seed, keeper, clipNorm, checkpointSteps },
    ...{ stops, checkpoints, identity, progressFrom, rateField: 'spec.leakTest.learningRate' },
    ...{ checkUnchanged: input.checkUnchanged, emit: input.emit },
    objective: () => crossEntropy,
    learningRate: (step) => options.learningRate * Math.min(1, (step + 1) / warmup),
    async evaluate() {
      const told = { memory: memory * shares.states, stage: 'assemble', emit: input.emit, progress() {} };
      const { loss, cell } = await measure(decoder, task, told);
      return { loss: finite(loss), cell: { value: finite(cell.value), stderr: finite(cell.stderr) } };
    },
  });
  // Budgets of less than a step apart are one stop.
  const cells = [0, ...stops].map((stop) => record.evaluations.find(({ step }) => step === stop)!.cell);
  mkdirSync(directory, { recursive: true });
  writeWhole(join(directory, endedFile), JSON.stringify({ identity, cells }));
  for (const step of namesToClear(directory)) if (step !== endedFile) clearAt(join(directory, step));
  keeper.pushLater(checkpoints, { exact: true });
  return cells;
}

/** The ends of a control are drawn anew each time that they are asked for; here they are asked for at every batch. */
function endsKept(source: WeightSource): WeightSource {
  const copied = (weights: Weights): Weights =>
    Object.fromEntries(Object.entries(weights).map(([slot, values]) => [slot, values.slice()]));
  const [head, embedder] = [copied(source.head()), copied(source.embedder())];
  return { ...source, head: () => head, embedder: () => embedder };
}

/** A random model may be surer of what is wrong than a float can say, and JSON knows no infinity. */
const finite = (value: number): number => Math.min(value, Number.MAX_VALUE);

function readEnded(directory: string, identity: string): Cell[] | undefined {
  try {
    const found = readKeptJson(join(directory, endedFile)) as { identity: string; cells: Cell[] };
    return found.identity === identity ? found.cells : undefined;
  } catch {
    return undefined;
  }
}
