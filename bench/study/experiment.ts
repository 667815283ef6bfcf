// One run of the study: builds, tunes and measures by the program itself, and keeps what every test row said.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { openBundle } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { loadTask, measure, type TaskData } from '../../src/evaluation/index.ts';
import { openModel } from '../../src/model/index.ts';
import { openAdapter } from '../../src/plugin/adapter.ts';
import { decoders, type Sides } from '../../src/plugin/cells.ts';
import { type CellName, cellNames } from '../../src/plugin/measured.ts';
import { mergedTensors } from '../../src/plugin/merge.ts';
import { type Experiment, maxLength, steps, testRows, trainings } from './settings.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const memory = 2 ** 30;

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
  readonly exactShare: { readonly tensors: number; readonly parameters: number };
  readonly leak?: unknown;
  readonly seconds: { readonly build: number; readonly tune: number };
  readonly rows: Readonly<Record<CellName, string>>;
}

/** Knows a run again: what it is made of, and of which program. */
export function keyOf({ setting, model, task, seed }: Experiment): string {
  const { name: _, ...content } = setting;
  const made = JSON.stringify([content, trainings[setting.train], model, task, seed, steps, testRows]);
  return createHash('sha256').update(made).digest('hex').slice(0, 16);
}

/** Runs an experiment; what an earlier process has begun of it goes on. */
export async function run(experiment: Experiment): Promise<Finding> {
  const { setting, task, seed } = experiment;
  const key = keyOf(experiment);
  const place = join(root, '.offsite/study', key);
  mkdirSync(place, { recursive: true });
  const build = buildOf(experiment);
  const manifests = { build: buildManifest(experiment, build, place), tune: tuneManifest(experiment, place) };
  const seconds = {
    build: offsite(place, [manifests.build]),
    tune: offsite(place, Object.values(manifests)),
  };
  const { scores } = statusOf(place, 'EmulatorBuild') as { scores?: { leak?: unknown } };
  const found = await measured(experiment, place);
  const finding = {
    ...{ key, setting: setting.name, model: experiment.model, task, seed },
    ...{ full: setting.full ?? false, build, ...found, seconds },
    ...(scores?.leak === undefined ? {} : { leak: scores.leak }),
  };
  for (const output of ['emulator', 'adapter']) rmSync(join(place, output), { recursive: true, force: true });
  return finding;
}

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

function buildManifest(experiment: Experiment, build: Record<string, unknown>, place: string): unknown {
  return manifest('EmulatorBuild', {
    model: { uri: `file:${modelPath(experiment)}` },
    probe: {
      data: { uri: `file:${rowsPath(experiment, 'probe')}`, format: 'text' },
      samples: 512,
      maxLength: maxLength[experiment.task],
      skipFirst: true,
    },
    ...build,
    evaluation: { limit: 200, leak: true },
    output: { uri: `file:${place}/emulator` },
  });
}

function tuneManifest(experiment: Experiment, place: string): unknown {
  const { adapter, learningRate } = trainings[experiment.setting.train];
  return manifest('OffsiteTune', {
    emulator: { ref: { name: 'study' } },
    data: { uri: `file:${rowsPath(experiment, 'train')}`, format: 'multipleChoice' },
    adapter,
    training: {
      ...{ steps, batchSize: 16, learningRate, schedule: 'cosine', seed: experiment.seed },
      maxLength: maxLength[experiment.task],
    },
    output: { uri: `file:${place}/adapter` },
  });
}

const manifest = (kind: string, spec: object) => ({
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind,
  metadata: { name: 'study' },
  spec,
});

/** Runs manifests as a user does, and returns the seconds that it took. @throws Error where it does not end well */
function offsite(place: string, manifests: readonly unknown[]): number {
  const file = join(place, 'resources.yaml');
  writeFileSync(file, manifests.map((each) => stringify(each)).join('---\n'));
  const start = performance.now();
  execFileSync(process.execPath, ['bin/offsite.js', 'run', '-f', file, '--work-dir', join(place, 'work')], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return Math.round((performance.now() - start) / 1000);
}

function statusOf(place: string, kind: string): unknown {
  const path = join(place, 'work', kind.toLowerCase(), 'study', 'resource.yaml');
  return (parse(readFileSync(path, 'utf8')) as { status: unknown }).status;
}

/** Which test rows each cell answers rightly, and what the bundle holds exactly. */
async function measured(
  experiment: Experiment,
  place: string,
): Promise<Pick<Finding, 'rows' | 'exactShare'>> {
  const engine = await Engine.create({ provider: 'cpu', threads: 2 });
  const model = openModel(modelPath(experiment));
  const bundle = openBundle(join(place, 'emulator'));
  const adapter = openAdapter(join(place, 'adapter'), {
    ...{ model, emulator: bundle.artifact.digest, bundle },
  });
  try {
    const task = await loadTask(model, engine, {
      ...{ name: 'test', path: rowsPath(experiment, 'test'), format: 'multipleChoice' },
      ...{ limit: testRows, maxLength: maxLength[experiment.task], memory: 2 ** 32 },
    });
    const sides = { model, bundle, adapter, plugged: mergedTensors(model, adapter, 1) };
    const rows: [CellName, string][] = [];
    for (const cell of cellNames) rows.push([cell, await rightRows(cell, { engine, sides, task })]);
    const { exactShare } = bundle.artifact.manifest.scores as unknown as Pick<Finding, 'exactShare'>;
    return { rows: Object.fromEntries(rows) as Finding['rows'], exactShare };
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
