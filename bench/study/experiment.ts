// One run of the study: builds, tunes and measures by the program itself, and keeps what every test row said.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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
import { digest } from '../kept.ts';
import { longest } from './estimates.ts';
import { courses, type Experiment, probeRows, rowsOf, testRows, trainings } from './settings.ts';
import type { Question } from './task.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const memory = 2 ** 30;
/** One, so that processor seconds are of work and not of threads that wait for each other on a busy machine. */
export const threads = 1;

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
  /** The adapter's. */
  readonly adapter: string;
  readonly exactShare: { readonly tensors: number; readonly parameters: number };
  /** The leak measures, as a status has them. */
  readonly leak?: Leak;
  /** Processor seconds of all threads; a build that another seed has made takes none. */
  readonly seconds: { readonly build: number; readonly tune: number };
  readonly rows: Readonly<Record<CellName, string>>;
}

/** Knows a run again: what it is made of, and of which program. */
export const keyOf = ({ setting: { build, train, full }, model, task, seed }: Experiment): string =>
  digest([{ build, full }, trainings[train], model, task, seed, courses[task], probeRows, testRows[task]]);

/** All runs share a work place, so that probe states and bundles are made once; what was begun of it goes on. */
export const work = join(root, '.offsite/study');

/**
 * Runs an experiment. @param kept what was found before: the same model's, bundle's or adapter's answers are not asked for again
 * @throws Error where the same training gives another adapter than it gave before
 */
export async function run(experiment: Experiment, kept: readonly Finding[]): Promise<Finding> {
  const { setting, model, task, seed } = experiment;
  const { build, ...names } = namedBy(experiment);
  const { key } = names;
  // the model itself gives all of it away
  const asked = setting.full ? { evaluation: { limit: 2 } } : {};
  const manifests = [buildManifest(experiment, build, names.built, asked), tuneManifest(experiment, names)];
  const seconds = { build: offsite(manifests.slice(0, 1)), tune: offsite(manifests) };
  const { scores, artifact } = statusOf('EmulatorBuild', names.built) as Built;
  const adapter = (statusOf('OffsiteTune', `tune-${key}`) as Pick<Built, 'artifact'>).artifact.digest;
  const before = kept.find((found) => found.key === key);
  if (before !== undefined && before.adapter !== adapter)
    throw new Error(`${key}: its adapter was ${before.adapter} and is ${adapter} now`);
  const rows = await measured(experiment, names, {
    fullZeroShot: longest(
      kept.filter((found) => found.model === model && found.task === task),
      'fullZeroShot',
    ),
    emulatorZeroShot: longest(
      kept.filter(({ bundle }) => bundle === artifact.digest),
      'emulatorZeroShot',
    ),
    ...(before && { emulatorFineTuned: before.rows.emulatorFineTuned, plugIn: before.rows.plugIn }),
  });
  return {
    ...{ key, setting: setting.name, model, task, seed, full: setting.full ?? false, build },
    ...{ bundle: artifact.digest, adapter, exactShare: exactShareOf(scores), rows },
    seconds: before?.seconds ?? seconds,
    ...(scores.leak === undefined ? {} : { leak: scores.leak }),
  };
}

type Leak = NonNullable<NonNullable<EmulatorBuildStatus['scores']>['leak']>;

/** Of a run: its key, and what its build is called. */
interface Names {
  readonly built: string;
  readonly key: string;
}

/** A run's names, and its build's fields. */
export function namedBy(experiment: Experiment): Names & { readonly build: Record<string, unknown> } {
  const { model, task } = experiment;
  const build = buildOf(experiment);
  const built = `build-${digest([build, model, task, courses[task].maxLength, probeRows])}`;
  return { build, built, key: keyOf(experiment) };
}

interface Built {
  readonly artifact: { readonly digest: string };
  readonly scores: { readonly exactTensorShare: string; readonly leak?: Leak };
}

const exactShareOf = ({ exactTensorShare, leak }: Built['scores']) => ({
  tensors: Number(exactTensorShare),
  parameters: Number(leak?.exactParameterShare ?? exactTensorShare),
});

type On = Pick<Experiment, 'model' | 'task'>;

export const modelPath = ({ model }: On) => join(root, '.offsite/models', model);
export const rowsPath = ({ task }: On, split: string) => join(root, '.offsite/data', task, `${split}.jsonl`);

/** The build's fields, with shares of the model's layers as numbers. */
export function buildOf(experiment: Experiment): Record<string, unknown> {
  const { build } = experiment.setting;
  const share = /^share ([\d.]+)$/.exec(String(build['layers']))?.[1];
  if (share === undefined) return { ...build };
  const model = openModel(modelPath(experiment));
  const { depth } = model.architecture;
  model.close();
  return { ...build, layers: Math.round(Number(share) * depth) };
}

/** @param more fields beside the build's own, or instead of them */
export function buildManifest(
  on: On,
  build: Record<string, unknown>,
  name: string,
  more: object = {},
): unknown {
  return manifest('EmulatorBuild', name, {
    model: { uri: `file:${modelPath(on)}` },
    probe: {
      data: { uri: `file:${rowsPath(on, 'probe')}`, format: 'text' },
      samples: probeRows.samples,
      maxLength: courses[on.task].maxLength,
      skipFirst: true,
    },
    ...build,
    evaluation: { limit: probeRows.scored, leak: true },
    engine: { threads },
    output: { uri: `file:${join(work, 'emulators', name)}` },
    ...more,
  });
}

export function tuneManifest(experiment: Experiment, names: Names): unknown {
  const { adapter, learningRate, ...more } = trainings[experiment.setting.train];
  const path = rowsPath(experiment, 'train');
  const data =
    'objective' in more
      ? { uri: `file:${pairsOf(path, experiment)}`, format: 'preference' }
      : { uri: `file:${path}`, format: 'multipleChoice' };
  return manifest('OffsiteTune', `tune-${names.key}`, {
    emulator: { ref: { name: names.built } },
    ...{ data, adapter, ...more },
    training: { ...courses[experiment.task], learningRate, schedule: 'cosine', seed: experiment.seed },
    engine: { threads },
    output: { uri: `file:${join(work, 'adapters', names.key)}` },
  });
}

/** The same questions as pairs of answers, right and wrong; of two choices each. @returns the file's path */
function pairsOf(path: string, { task }: On): string {
  mkdirSync(work, { recursive: true });
  const file = join(work, `${task}-pairs.jsonl`);
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const pairs = lines.map((line) => {
    const { context, question, choices, answer } = JSON.parse(line) as Question;
    const prompt = `${context}\nQuestion: ${question}\nAnswer:`;
    return JSON.stringify({ prompt, chosen: ` ${choices[answer]}`, rejected: ` ${choices[1 - answer]}` });
  });
  writeFileSync(file, `${pairs.join('\n')}\n`);
  return file;
}

const manifest = (kind: string, name: string, spec: object) => ({
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind,
  metadata: { name },
  spec,
});

/**
 * Runs manifests as a user does, and returns the processor seconds that it took. @param place a work place, of a process at a time
 * @throws Error where it does not end well
 */
export function offsite(manifests: readonly unknown[], place = 'work'): number {
  mkdirSync(work, { recursive: true });
  const file = join(work, place === 'work' ? 'resources.yaml' : `${place}.yaml`);
  writeFileSync(file, manifests.map((each) => stringify(each)).join('---\n'));
  const start = processorSeconds();
  execFileSync(process.execPath, ['bin/offsite.js', 'run', '-f', file, '--work-dir', join(work, place)], {
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

export function statusOf(kind: string, name: string, place = 'work'): unknown {
  const path = join(work, place, kind.toLowerCase(), name, 'resource.yaml');
  return (parse(readFileSync(path, 'utf8')) as { status: unknown }).status;
}

/** Which test rows each cell answers rightly; of a cell that is known only the rows after those are asked for. */
async function measured(
  experiment: Experiment,
  names: Names,
  known: Partial<Record<CellName, string>>,
): Promise<Finding['rows']> {
  const engine = await Engine.create({ provider: 'cpu', threads });
  const model = openModel(modelPath(experiment));
  const bundle = openBundle(join(work, 'emulators', names.built));
  const adapter = openAdapter(join(work, 'adapters', names.key), {
    ...{ model, emulator: bundle.artifact.digest, bundle },
  });
  try {
    const wanted = rowsOf(experiment);
    const sides = { model, bundle, adapter, plugged: mergedTensors(model, adapter, 1) };
    const of = async (cell: CellName) => {
      const before = (known[cell] ?? '').slice(0, wanted);
      if (before.length === wanted) return before;
      const task = await loadTask(model, engine, {
        ...{ name: 'test', path: rowsPath(experiment, 'test'), format: 'multipleChoice' },
        ...{ skip: before.length, limit: wanted - before.length },
        ...{ maxLength: courses[experiment.task].maxLength, memory: 2 ** 32 },
      });
      return before + (await rightRows(cell, { engine, sides, task }));
    };
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
  return scores.values.join('');
}
