/** The stage `plug`: an adapter on its full model, measured, and released where its gates hold. */
import { badSpec, type PlugIn, type PlugInStatus, type TaskResult } from '../api/index.ts';
import { doneOrFree, inPlace, type Keeper, openArtifact, seal, type Work } from '../artifact/index.ts';
import { dataDigest } from '../data/index.ts';
import { trainedLayers } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { loadTask, type TaskData } from '../evaluation/index.ts';
import type { Model } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import type { Adapter } from './adapter.ts';
import { type AnalysisRecord, analyse, KeptWork, summaryOf } from './analysis/index.ts';
import { measureCells, type Sides, withReferences } from './cells.ts';
import type { MeasuredTask } from './measured.ts';
import { mergedTensors } from './merge.ts';
import { checkSave, gatesOf, mergeOf, stopAtFailedGate, writeRelease } from './release.ts';
import { type Given, type OpenSides, openSides } from './sides.ts';

export interface PlugOptions {
  spec: PlugIn['spec'];
  model: string;
  emulator: Given;
  /** One, or the several that become one. */
  adapters: readonly Given[];
  /** The file of each task's rows, in the order of the spec. */
  tasks: readonly string[];
  output: string;
  /** A directory of this resource alone: what is kept of unfinished analyses. */
  work: string;
  engine: Engine;
  /** Bytes for decoded weights and hidden states. */
  memory: number;
  emit: Emit;
  /** Brings what is kept of unfinished analyses from its store and there, and knows whose the output is; in place when absent. */
  keeper?: Keeper;
  /** Whether another artifact at the output may be replaced. */
  mayReplace?: boolean | undefined;
}

export type PlugResult = Pick<PlugInStatus, 'evaluation' | 'gates' | 'analysis' | 'merge'> & {
  artifact?: { digest: string; sizeBytes: number };
};

/** What the manifest of a release says of it, from which a run that finds it reports the same. */
type Scores = { evaluation: MeasuredTask[]; analysis?: AnalysisRecord };

/**
 * Checks the adapter, plugs it in, measures the cells, analyses, checks the gates and saves what was asked for.
 * @param report called with evaluation, gates and analysis before a failed gate stops the release
 * @throws OffsiteError BadModel, BadData, GateFailed, Cancelled
 */
export async function plug(options: PlugOptions, report: (result: PlugResult) => void): Promise<PlugResult> {
  const { spec, output, keeper = inPlace } = options;
  const both = openSides(spec, options);
  const { model, checkUnchanged } = both;
  try {
    const [adapter, ...others] = both.parties as [Adapter, ...Adapter[]];
    if (others.length > 0)
      throw badSpec('spec.adapters: several adapters cannot be plugged in yet; name one');
    const opened = { ...both, adapter };
    checkSave(spec, opened);
    const rows = rowDigests(options);
    const work = describe(options, opened, rows);
    const done = doneOrFree(output, work, options.mayReplace);
    const before = done?.manifest.scores as Scores | undefined;

    const sides = { ...opened, plugged: mergedTensors(model, adapter, Number(spec.coefficient)) };
    const kept =
      spec.analysis && before === undefined
        ? await KeptWork.open(options.work, keptFor(work, spec.analysis), keeper, checkUnchanged)
        : undefined;
    const measureAll = () => cellsOf(options, sides, rows);
    const measured = before?.evaluation ?? (kept ? await kept.evaluation(measureAll) : await measureAll());
    checkUnchanged();
    const gates = gatesOf(spec, measured);
    const evaluation = measured.map(({ exact: _, ...task }): TaskResult => task);
    const merge = mergeOf(options, opened);
    report({ evaluation, gates, ...merge });
    const analysis = before?.analysis ?? (kept && (await analysisOf(options, sides, { kept, rows })));
    const found = { evaluation, gates, ...merge, ...(analysis ? { analysis: summaryOf(analysis) } : {}) };
    report(found);
    stopAtFailedGate(spec, gates);
    if (spec.output.save === 'none') return found;

    if (done === undefined) {
      const fill = (directory: string): Scores => {
        writeRelease(directory, { spec, from: options.adapters[0]!.directory }, sides);
        return { evaluation: measured, ...(analysis ? { analysis } : {}) };
      };
      await seal(output, work, { fill, checkUnchanged, keeper });
    }
    const { digest, sizeBytes } = openArtifact(output);
    return { ...found, artifact: { digest, sizeBytes } };
  } finally {
    both.close();
  }
}

/** All that a release depends on. */
function describe(
  options: PlugOptions,
  { modelDigest, bundle, adapter }: Pick<OpenSides, 'modelDigest' | 'bundle'> & Pick<Sides, 'adapter'>,
  rows: readonly string[],
): Work {
  const { spec } = options;
  const { save } = spec.output;
  return {
    kind: save === 'adapter' ? 'Adapter' : 'Model',
    madeFrom: { model: modelDigest, emulator: bundle.artifact.digest, adapter: adapter.digest },
    hyperparameters: {
      coefficient: spec.coefficient,
      save,
      ...(save === 'adapter' ? { adapter: adapter.type } : {}),
      evaluation: evaluationOf(spec),
      rows,
      ...(spec.analysis ? { analysis: spec.analysis } : {}),
    },
  };
}

/** What is evaluated and how, without where its rows lie: equal work has equal digests in any place. */
function evaluationOf({ evaluation }: PlugIn['spec']): unknown {
  if (evaluation === undefined) return null;
  return { ...evaluation, tasks: evaluation.tasks.map(({ data: _, ...task }) => task) };
}

const rowDigests = ({ spec, tasks }: PlugOptions) =>
  tasks.map((path, i) =>
    dataDigest(path, `spec.evaluation.tasks[${i}].data`, spec.evaluation?.tasks[i]?.data.digest),
  );

/** What kept work depends on: each variant is kept by itself, so that others may be asked for without losing it. */
const keptFor = (
  { madeFrom, hyperparameters }: Work,
  { tasks, limit }: NonNullable<PlugIn['spec']['analysis']>,
) => ({ madeFrom, hyperparameters: { ...hyperparameters, analysis: { tasks, limit } } });

/** The cells of every task that the spec names, whatever was kept of them. */
async function cellsOf(options: PlugOptions, sides: Sides, rows: readonly string[]): Promise<MeasuredTask[]> {
  const { spec, engine, memory, emit } = options;
  const { evaluation } = spec;
  if (evaluation === undefined) return [];
  const { bootstrapSamples: resamples, seed } = evaluation;
  const tasks = await loadTasks(options, sides.model, { rows });
  return measureCells(tasks, sides, { engine, memory, emit, resamples, seed });
}

/** The analyses that the spec asks for, on the tasks and rows that it names. */
async function analysisOf(
  options: PlugOptions,
  sides: Sides,
  { kept, rows }: { kept: KeptWork; rows: readonly string[] },
): Promise<AnalysisRecord | undefined> {
  const { engine, memory, emit } = options;
  const { analysis, evaluation } = options.spec;
  if (analysis === undefined || evaluation === undefined) return undefined;
  const { model, bundle, adapter, plugged } = sides;
  const tasks = await loadTasks(options, model, { rows, tasks: analysis.tasks, limit: analysis.limit });
  const coefficient = Number(options.spec.coefficient);
  return analyse({
    analysis,
    model,
    at: (c) => (c === coefficient ? plugged : mergedTensors(model, adapter, c)),
    plugged: { transferLayers: trainedLayers(bundle.plan), coefficient },
    tasks: await withReferences(tasks, sides, { engine, memory, emit }),
    kept,
    engine,
    memory,
    emit,
  });
}

/**
 * The rows of all tasks, or of some and only the first of each.
 * @param rows their digests, as the release's manifest has them
 */
async function loadTasks(
  { spec, tasks, engine, memory }: PlugOptions,
  model: Model,
  {
    rows,
    tasks: names,
    limit = Number.POSITIVE_INFINITY,
  }: { rows: readonly string[]; tasks?: string[] | undefined; limit?: number | undefined },
): Promise<TaskData[]> {
  const { evaluation } = spec;
  const loaded: TaskData[] = [];
  for (const [i, task] of evaluation?.tasks.entries() ?? []) {
    if (names !== undefined && !names.includes(task.name)) continue;
    const least = Math.min(limit, task.limit ?? Number.POSITIVE_INFINITY);
    loaded.push(
      await loadTask(model, engine, {
        ...task,
        path: tasks[i] as string,
        digest: rows[i],
        maxLength: evaluation?.maxLength as number,
        memory,
        limit: Number.isFinite(least) ? least : undefined,
      }),
    );
  }
  return loaded;
}
