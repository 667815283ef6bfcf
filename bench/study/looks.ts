// What models say of rows of the study, choice by choice: the full one with a part of an adapter's change, or with one of fewer steps.
// node bench/study/looks.ts --task spam [--only SETTING] [--steps 5,10] [--coefficients 0.25,1] [--split validation] [--side emulator]; kept in looks.json
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type OffsiteTuneSpec, parseResource } from '../../src/api/index.ts';
import { inPlace } from '../../src/artifact/index.ts';
import { openBundle } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { likelihoodsOf, loadTask } from '../../src/evaluation/index.ts';
import { openModel } from '../../src/model/index.ts';
import { openAdapter } from '../../src/plugin/adapter.ts';
import { decoders } from '../../src/plugin/cells.ts';
import { mergedTensors } from '../../src/plugin/merge.ts';
import { prepare } from '../../src/tuning/prepare.ts';
import { writeAdapter } from '../../src/tuning/result.ts';
import { train } from '../../src/tuning/train.ts';
import { digest } from '../kept.ts';
import { memory, modelPath, namedBy, rowsPath, threads, tuneManifest, work } from './experiment.ts';
import { looksKept } from './findings.ts';
import { courses, type Experiment, finalist, settings, type TaskName, testRows } from './settings.ts';

/** What is asked. */
export interface Asked {
  readonly setting: string;
  readonly model: string;
  readonly task: string;
  readonly seed: number;
  /** Of the training; the learning rate's course is the whole training's. */
  readonly steps: number;
  /** The model that answers: the full one with so much of the adapter's change, or the emulator with all of it. */
  readonly side: 'plugIn' | 'emulator';
  readonly coefficient: number;
  readonly split: 'test' | 'validation';
}

/** What is answered, row by row. */
export interface Look extends Asked {
  readonly key: string;
  /** Which choice is right, a digit a row. */
  readonly answers: string;
  /** Log-likelihoods of the choices, in nats. */
  readonly choices: readonly (readonly number[])[];
}

/** Checkpoints are kept after so many steps: a stop is at one of them. */
const every = 5;

/** Asks one after the other, and keeps what is answered. @param asked of one run */
async function look(experiment: Experiment, asked: readonly Asked[]): Promise<void> {
  const engine = await Engine.create({ provider: 'cpu', threads });
  const model = openModel(modelPath(experiment));
  const bundle = openBundle(join(work, 'emulators', namedBy(experiment).built));
  try {
    for (const one of asked) {
      const adapter = openAdapter(await adapterAfter(experiment, one.steps), {
        ...{ model, emulator: bundle.artifact.digest, bundle },
      });
      const task = await loadTask(model, engine, {
        ...{ name: one.split, path: rowsPath(experiment, one.split), format: 'multipleChoice' },
        ...{ limit: testRows[experiment.task], maxLength: courses[experiment.task].maxLength },
        memory: 2 ** 32,
      });
      const plugged = mergedTensors(model, adapter, one.coefficient);
      const cell = one.side === 'emulator' ? 'emulatorFineTuned' : 'plugIn';
      const decoder = decoders[cell]({ model, bundle, adapter, plugged }, { engine, memory });
      const said = await likelihoodsOf(decoder, task, { memory, stage: cell, emit: () => {} });
      adapter.close();
      const answers = task.examples.map(({ answer }) => answer).join('');
      const choices = Array.from(said, ({ logLikelihood }) =>
        logLikelihood.slice(1).map((each) => Number(each.toFixed(4))),
      );
      looksKept.keep({ key: digest(one), ...one, answers, choices });
      const right = choices.filter((of, row) => of.indexOf(Math.max(...of)) === Number(answers[row]));
      console.log(JSON.stringify({ ...one, right: right.length / choices.length }));
    }
  } finally {
    for (const open of [bundle, model]) open.close();
    await engine.dispose();
  }
}

/** The adapter of a run as it is after some of its steps: the kept one after all, else trained anew. @throws Error where no step is that one */
async function adapterAfter(experiment: Experiment, steps: number): Promise<string> {
  const { key } = namedBy(experiment);
  const whole = join(work, 'adapters', key);
  const stopped = (step: number) => `${whole}-after-${step}`;
  if (steps === courses[experiment.task].steps) return whole;
  if (steps % every !== 0)
    throw new Error(`there is a stop after every ${every} steps, and none after ${steps}`);
  if (!existsSync(stopped(steps))) await trainStopping(experiment, stopped);
  return stopped(steps);
}

/** Trains a run's adapter and writes what it is after every few steps. */
async function trainStopping(experiment: Experiment, place: (step: number) => string): Promise<void> {
  const names = namedBy(experiment);
  const spec = parseResource(tuneManifest(experiment, names), 'study').spec as OffsiteTuneSpec;
  const own = join(work, 'stops', names.key);
  const engine = await Engine.create({ provider: 'cpu', threads });
  const bundle = openBundle(join(work, 'emulators', names.built));
  const stops = new Map<number, Float32Array[]>();
  const options = {
    spec: { ...spec, training: { ...spec.training, checkpointSteps: every } },
    ...{ emulator: { directory: '' }, data: rowsPath(experiment, 'train'), output: '', work: own, engine },
    ...{ memory: 2 ** 32, emit: () => {} },
  };
  try {
    const run = await prepare(options, bundle, undefined);
    const { record, tensors } = run.state;
    const keeper = {
      ...inPlace,
      pushLater: () =>
        void stops.set(
          record.step,
          tensors.map(({ values }) => values.slice()),
        ),
    };
    await train(run, {}, { ...options, keeper });
    for (const [step, values] of stops) {
      record.bestStep = step;
      for (const [i, { best }] of tensors.entries()) best.set(values[i]!);
      await writeAdapter({ output: place(step), own, keeper: inPlace }, run, run.checkUnchanged);
    }
  } finally {
    bundle.close();
    await engine.dispose();
  }
}

const { values } = parseArgs({
  options: {
    task: { type: 'string', default: 'spam' },
    only: { type: 'string', default: finalist },
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '' },
    coefficients: { type: 'string', default: '1' },
    split: { type: 'string', default: 'test' },
    side: { type: 'string', default: 'plugIn' },
  },
});

if (import.meta.main) {
  const [model, task, seed] = ['smollm2' as const, values.task as TaskName, Number(values.seed)];
  const setting = settings.find(({ name }) => name === values.only)!;
  const numbers = (text: string) => text.split(',').map(Number);
  const asked = numbers(values.steps || String(courses[task].steps)).flatMap((steps) =>
    numbers(values.coefficients).flatMap((coefficient) =>
      values.side.split(',').flatMap((side) =>
        values.split.split(',').map((split) => ({
          ...{ setting: setting.name, model, task, seed, steps, coefficient },
          ...{ side: side as Asked['side'], split: split as Asked['split'] },
        })),
      ),
    ),
  );
  const known = new Set(looksKept.read().map(({ key }) => key));
  await look(
    { setting, model, task, seed },
    asked.filter((one) => !known.has(digest(one))),
  );
}
