// A training of whole blocks on rows: its steps in the order of a seed, saved and gone on with.
import type { Keeper } from '../artifact/index.ts';
import { DataOrder, type Example, type PackedBatch, packStep } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import type { Decoder } from '../model/index.ts';
import type { Emit, Metric } from '../progress/index.ts';
import type { TrainedBlock } from './blocks.ts';
import type { Objective } from './objective.ts';
import { optimiserStep } from './optimiser-step.ts';
import type { TrainingPlan } from './plan.ts';
import { runTraining } from './run.ts';
import {
  checkpointsOfTraining,
  type Evaluation,
  restoreState,
  saveState,
  type TrainingState,
} from './state.ts';

export interface BlockTraining {
  readonly engine: Engine;
  /** Runs the weights of `parts`. */
  readonly decoder: Decoder;
  readonly parts: ReadonlyMap<number, TrainedBlock>;
  readonly examples: readonly Example[];
  readonly plan: TrainingPlan;
  /** What a step lowers. */
  objective(batches: readonly PackedBatch[]): Objective | Promise<Objective>;
  readonly batchSize: number;
  /** Of the order of the rows. */
  readonly seed: number;
  /** Of each step, counted from 0. */
  learningRate(step: number): number;
  readonly clipNorm: number;
  /** What the weights are worth is asked after each of these steps, ascending, of which the last one ends the training. */
  readonly stops: readonly number[];
  readonly evaluate?: () => Promise<Omit<Evaluation, 'step'>>;
  readonly checkpointSteps: number;
  /** A directory of this resource's checkpoints alone. */
  readonly checkpoints: string;
  /** Of all that the trained weights depend on. */
  readonly identity: string;
  readonly keeper: Keeper;
  /** Throws where what is trained on has been changed since. */
  readonly checkUnchanged: () => void;
  readonly emit: Emit;
  /** The counter of the steps, of which so many were done before. */
  progressFrom(done: number): (steps: number, metrics?: Metric[]) => void;
  /** The field of the spec that sets the learning rate. */
  readonly rateField: string;
}

/** AdamW's of offsite-tuning (arXiv 2302.04870) for models that are not GPT-2. */
const adam = { betas: [0.9, 0.999], weightDecay: 0 } as const;

/**
 * Trains to the last stop, from the newest checkpoint of the same work on.
 * @returns the state at the end; the parts' weights are its tensors'
 * @throws OffsiteError BadModel where loss or gradient is not finite; Cancelled after a checkpoint
 */
export async function trainBlocks(training: BlockTraining): Promise<TrainingState> {
  const { engine, decoder, parts, examples, plan, batchSize, keeper, identity, emit } = training;
  const directory = checkpointsOfTraining(training.checkpoints, identity);
  const state = startOf([...new Set(parts.values())]);
  await keeper.pull(directory, { exact: false });
  if (restoreState(directory, identity, state, emit)) state.record.resumes += 1;
  const { record } = state;
  const order = new DataOrder(examples.length, training.seed);
  const progress = training.progressFrom(record.step);
  for (const steps of training.stops)
    await runTraining({
      ...{ state, steps, evalSteps: Number.POSITIVE_INFINITY, checkpointSteps: training.checkpointSteps },
      async step() {
        const { places, cursor } = order.take(record.cursor, batchSize);
        const batches = packStep(examples, places, plan.shape);
        const loss = await optimiserStep(decoder, batches, state, {
          ...{ parts, adam, objective: await training.objective(batches), recompute: plan.recompute },
          ...{ learningRate: training.learningRate(record.step), clipNorm: training.clipNorm },
          rateField: training.rateField,
        });
        record.cursor = cursor;
        return loss;
      },
      evaluate: training.evaluate,
      async save() {
        await keeper.held();
        training.checkUnchanged();
        saveState(directory, identity, state);
        keeper.pushLater(training.checkpoints, { exact: true });
      },
      progress: (loss) => progress(1, [{ name: 'loss', value: loss.toFixed(4) }]),
    });
  engine.throwIfCancelled();
  return state;
}

const startOf = (blocks: readonly TrainedBlock[]): TrainingState => ({
  tensors: blocks.flatMap(({ tensors }) => tensors),
  record: {
    ...{ step: 0, cursor: { epoch: 0, index: 0 }, tokens: 0, resumes: 0 },
    ...{ losses: [], evaluations: [], bestStep: 0 },
  },
});
