// One run of the study: builds, tunes and measures by the program itself, and keeps what every test row said.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { EmulatorBuildStatus } from '../../src/api/index.ts';
import { openBundle } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { loadTask, measure, type TaskData } from '../../src/evaluation/index.ts';
import { openModel } from '../../src/model/index.ts';
import { openAdapter } from '../../src/plugin/adapter.ts';
import { decoders, type Sides } from '../../src/plugin/cells.ts';
import type { CellName } from '../../src/plugin/measured.ts';
import { mergedTensors } from '../../src/plugin/merge.ts';
import { courses, type Experiment, probeRows, testRows, trainings } from './settings.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const memory = 2 ** 30;
/** One, so that processor seconds are of work and not of threads that wait for each other on a busy machine. */
const threads = 1;

/** What was found in a run; rows: which of the test rows each cell answered rightly, in their order. */
export interface Finding {
  readonly key: string;
  readonly setting: string;
  readonly model: string;
  readonly task: string;
  readonly seed: number;
  readonly full: boolean;
  /** Fields of the build as they were given. */
  readonly build: unknown;
  /** The bundle's digest. */
  readonly bundle: string;
  readonly exactShare: { readonly tensors: number; readonly parameters: number };
  /** The leak measures, as a status has them. */
  readonly leak?: Leak;
  /** Processor seconds of all threads; a build that another seed has made takes none. */
  readonly seconds: { readonly build: number; readonly tune: number };
  readonly rows: Readonly<Record<CellName, string>>;
}

const digest = (content: unknown) =>
  createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);

/** Knows a run again: what it is made of, and of which program. */
export const keyOf = ({ setting: { build, train, full }, model, task, seed }: Experiment): string =>
  digest([{ build, full }, trainings[train], model, task, seed, courses[task], probeRows, testRows[task]]);

/** All runs share a work place, so that probe states and bundles are made once; what was begun of it goes on. */
const work = join(root, '.offsite/study');

/**
 * Runs an experiment. @param kept what was found before: the same model's, or the same bundle's, answers are not asked for
 * again
 */
export async function run(experiment: Experiment, kept: readonly Finding[]): Promise<Finding> {
  const { setting, model, task, seed } = experiment;
  const key = keyOf(experiment);
  const build = buildOf(experiment);
  const names = { build: `build-${digest([build, model, task, courses[task].maxLength, probeRows])}`, key };
  mkdirSync(work, { recursive: true });
  const manifests = [buildManifest(experiment, build, names.build), tuneManifest(experiment, names)];
  const seconds = { build: offsite(manifests.slice(0, 1)), tune: offsite(manifests) };
  const { scores, artifact } = statusOf('EmulatorBuild', names.build) as Built;
  const known = {
    fullZeroShot: kept.find((found) => found.model === model && found.task === task)?.rows.fullZeroShot,
    emulatorZeroShot: kept.find(({ bundle }) => bundle === artifact.digest)?.rows.emulatorZeroShot,
  };
  const rows = await measured(experiment, names, known);
  rmSync(join(work, 'adapters', key), { recursive: true, force: true });
  return {
    ...{ key, setting: setting.name, model, task, seed, full: setting.full ?? false, build },
    ...{ bundle: artifact.digest, exactShare: exactShareOf(scores), seconds, rows },
    ...(scores.leak === undefined ? {} : { leak: scores.leak }),
  };
}

type Leak = NonNullable<NonNullable<EmulatorBuildStatus['scores']>['leak']>;

interface Names {
  readonly build: string;
  readonly key: string;
}

interface Built {
  readonly artifact: { readonly digest: string };
  readonly scores: { readonly exactTensorShare: string; readonly leak?: Leak };
}

const exactShareOf = ({ exactTensorShare, leak }: Built['scores']) => ({
  tensors: Number(exactTensorShare),
  parameters: Number(leak?.exactParameterShare ?? exactTensorShare),
});

const modelPath = ({ model }: Experiment) => join(root, '.offsite/models', model);
const rowsPath = ({ task }: Experiment, split: string) => join(root, '.offsite/data', task, `${split}.jsonl`);

/** The build's fields, with shares of the model's layers as numbers. */
function buildOf(experiment: Experiment): Record<string, unknown> {
  const { build } = experiment.setting;
  const share = /^share ([\d.]+)$/.exec(String(build['layers']))?.[1];
  if (share === undefined) return { ...build };
  const model = openModel(modelPath(experiment));
  const { depth } = model.architecture;
  model.close();
  return { ...build, layers: Math.round(Number(share) * depth) };
}

function buildManifest(experiment: Experiment, build: Record<string, unknown>, name: string): unknown {
  return manifest('EmulatorBuild', name, {
    model: { uri: `file:${modelPath(experiment)}` },
    probe: {
      data: { uri: `file:${rowsPath(experiment, 'probe')}`, format: 'text' },
      samples: probeRows.samples,
      maxLength: courses[experiment.task].maxLength,
      skipFirst: true,
    },
    ...build,
    // the model itself gives all of it away
    evaluation: experiment.setting.full ? { limit: 2 } : { limit: probeRows.scored, leak: true },
    engine: { threads },
    output: { uri: `file:${join(work, 'emulators', name)}` },
  });
}

function tuneManifest(experiment: Experiment, names: Names): unknown {
  const { adapter, learningRate } = trainings[experiment.setting.train];
  return manifest('OffsiteTune', `tune-${names.key}`, {
    emulator: { ref: { name: names.build } },
    data: { uri: `file:${rowsPath(experiment, 'train')}`, format: 'multipleChoice' },
    adapter,
    training: { ...courses[experiment.task], learningRate, schedule: 'cosine', seed: experiment.seed },
    engine: { threads },
    output: { uri: `file:${join(work, 'adapters', names.key)}` },
  });
}

const manifest = (kind: string, name: string, spec: object) => ({
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind,
  metadata: { name },
  spec,
});

/** Runs manifests as a user does, and returns the processor seconds that it took. @throws Error where it does not end well */
function offsite(manifests: readonly unknown[]): number {
  const file = join(work, 'resources.yaml');
  writeFileSync(file, manifests.map((each) => stringify(each)).join('---\n'));
  const start = processorSeconds();
  execFileSync(process.execPath, ['bin/offsite.js', 'run', '-f', file, '--work-dir', join(work, 'work')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  return Math.round(processorSeconds() - start);
}

/** Of this process's children that have ended, as Linux counts them (proc(5), fields 16 and 17, of 10 ms); elsewhere the clock. */
function processorSeconds(): number {
  const path = '/proc/self/stat';
  if (!existsSync(path)) return performance.now() / 1000;
  const [user, system] = readFileSync(path, 'utf8').split(') ')[1]!.split(' ').slice(13, 15).map(Number);
  return (user! + system!) / 100;
}

function statusOf(kind: string, name: string): unknown {
  const path = join(work, 'work', kind.toLowerCase(), name, 'resource.yaml');
  return (parse(readFileSync(path, 'utf8')) as { status: unknown }).status;
}

/** Which test rows each cell answers rightly; those of a cell that is known are not asked for. */
async function measured(
  experiment: Experiment,
  names: Names,
  known: Partial<Record<CellName, string | undefined>>,
): Promise<Finding['rows']> {
  const engine = await Engine.create({ provider: 'cpu', threads });
  const model = openModel(modelPath(experiment));
  const bundle = openBundle(join(work, 'emulators', names.build));
  const adapter = openAdapter(join(work, 'adapters', names.key), {
    ...{ model, emulator: bundle.artifact.digest, bundle },
  });
  try {
    const task = await loadTask(model, engine, {
      ...{ name: 'test', path: rowsPath(experiment, 'test'), format: 'multipleChoice' },
      ...{ limit: testRows[experiment.task], maxLength: courses[experiment.task].maxLength, memory: 2 ** 32 },
    });
    const sides = { model, bundle, adapter, plugged: mergedTensors(model, adapter, 1) };
    const of = async (cell: CellName) => known[cell] ?? (await rightRows(cell, { engine, sides, task }));
    const fullZeroShot = await of('fullZeroShot');
    const plugIn = await of('plugIn');
    // where the emulator is the model itself, so are its answers
    if (experiment.setting.full)
      return { fullZeroShot, emulatorZeroShot: fullZeroShot, emulatorFineTuned: plugIn, plugIn };
    const emulatorZeroShot = await of('emulatorZeroShot');
    return { fullZeroShot, emulatorZeroShot, emulatorFineTuned: await of('emulatorFineTuned'), plugIn };
  } finally {
    for (const open of [adapter, bundle, model]) open.close();
    await engine.dispose();
  }
}

async function rightRows(
  cell: CellName,
  { engine, sides, task }: { engine: Engine; sides: Sides; task: TaskData },
): Promise<string> {
  const decoder = decoders[cell](sides, { engine, memory });
  const { scores } = await measure(decoder, task, { memory, stage: cell, emit: () => {} });
  return scores.map(({ value }) => value).join('');
}
