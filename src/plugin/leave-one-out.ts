// What the plug-in would be without one of several parties, each in turn, on the same rows.
import { OffsiteError } from '../api/index.ts';
import type { Engine } from '../engine/index.ts';
import { type Measurement, measure, pairedBootstrap, type TaskData } from '../evaluation/index.ts';
import { Decoder, type Overlay, weightsOf } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import type { KeptWork, Without } from './analysis/index.ts';
import type { Sides } from './cells.ts';

export interface LeaveOneOutOptions {
  readonly tasks: readonly TaskData[];
  /** What comes of all others, on the full model. */
  withoutOne(digest: string): { readonly plugged: Overlay; close(): void };
  readonly kept: KeptWork;
  readonly engine: Engine;
  /** Bytes for decoded weights and hidden states. */
  readonly memory: number;
  readonly emit: Emit;
  /** Of the differences' bootstrap. */
  readonly resamples: number;
  readonly seed: number;
}

const stage = 'plug: parties left out';

/**
 * Measures the plug-in without each party, and its difference from the plug-in of all, paired by rows. What was measured before
 * a stop is not measured again.
 * @param digests of the parties' adapters
 * @returns by digest; nothing, with a warning, where the others' come to no model that gives numbers
 * @throws OffsiteError Cancelled between two blocks
 */
export async function leaveOneOut(
  digests: readonly string[],
  sides: Sides,
  options: LeaveOneOutOptions,
): Promise<Map<string, Without[]>> {
  const { tasks, kept, emit } = options;
  const left = digests.filter((digest) => kept.without(digest) === undefined);
  if (left.length > 0) {
    const passes = tasks.reduce((sum, task) => sum + task.batches.length, 0) * sides.model.architecture.depth;
    const progress = progressOf(stage, passes * (left.length + 1), emit);
    const all = await measurementsOf(sides, sides.plugged, options, progress);
    for (const digest of left) {
      const others = await withoutOf(digest, sides, options, progress);
      await kept.addWithout(digest, others === undefined ? [] : differences(all, others, options));
    }
  }
  return new Map(digests.map((digest) => [digest, kept.without(digest)!]));
}

async function withoutOf(
  digest: string,
  sides: Sides,
  options: LeaveOneOutOptions,
  progress: (blocks: number) => void,
): Promise<Measurement[] | undefined> {
  try {
    const others = options.withoutOne(digest);
    try {
      return await measurementsOf(sides, others.plugged, options, progress);
    } finally {
      others.close();
    }
  } catch (error) {
    // A method may take none of the others, or find too few.
    if (!(error instanceof OffsiteError) || !['BadModel', 'BadSpec'].includes(error.reason)) throw error;
    const message = `the plug-in without ${digest} is not measured: ${error.message}`;
    options.emit({ type: 'warning', reason: 'NotMeasured', message });
    return undefined;
  }
}

async function measurementsOf(
  { model }: Sides,
  overlay: Overlay,
  { tasks, engine, memory, emit }: LeaveOneOutOptions,
  progress: (blocks: number) => void,
): Promise<Measurement[]> {
  const half = memory / 2;
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: half, overlay }));
  const measured: Measurement[] = [];
  for (const task of tasks)
    measured.push(await measure(decoder, task, { memory: half, stage, emit, progress }));
  return measured;
}

function differences(
  all: readonly Measurement[],
  others: readonly Measurement[],
  { tasks, engine, resamples, seed }: LeaveOneOutOptions,
): Without[] {
  const bootstrap = { resamples, seed, beforeEach: () => engine.throwIfCancelled() };
  return tasks.map(({ name, metric }, i) => {
    const { cell, scores } = others[i]!;
    const { value, stderr, interval } = pairedBootstrap(all[i]!.scores, scores, metric, bootstrap);
    return {
      task: name,
      plugIn: { value: figure(cell.value), stderr: figure(cell.stderr) },
      difference: {
        ...{ value: figure(value), stderr: figure(stderr) },
        ...{ low: figure(interval[0]), high: figure(interval[1]) },
      },
    };
  });
}

const figure = (value: number) => value.toFixed(4);
