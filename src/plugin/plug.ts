/** The stage `plug`: an adapter on its full model, measured, and released where its gates hold. */
import { join } from 'node:path';
import type { Aggregate, Aggregation, PartyVerdict, PlugIn, PlugInStatus, TaskResult } from '../api/index.ts';
import {
  doneOrFree,
  inPlace,
  type Keeper,
  openArtifact,
  type Replaceable,
  seal,
  type Work,
  type WrittenFiles,
} from '../artifact/index.ts';
import { dataDigest, packedOfThread, tokensOfThread } from '../data/index.ts';
import { trainedLayers } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { loadTask, type TaskData } from '../evaluation/index.ts';
import type { Model } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import type { PluggableAdapter } from './adapter.ts';
import { type Aggregated, aggregateAdapters, inStatus, type Party } from './aggregate.ts';
import { passesOf } from './aggregation/index.ts';
import { type AnalysisRecord, analyse, KeptWork, summaryOf } from './analysis/index.ts';
import { measureCells, type Sides, withReferences } from './cells.ts';
import { leaveOneOut } from './leave-one-out.ts';
import type { MeasuredTask } from './measured.ts';
import { mergedTensors, roundsChanges } from './merge.ts';
import { changedElements } from './party-changes.ts';
import { checkPrecision, checkSave, gatesOf, mergeOf, stopAtFailedGate, writeRelease } from './release.ts';
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
  /** Which other artifact at the output may be replaced; any when absent. */
  mayReplace?: Replaceable | undefined;
}

export type PlugResult = Pick<
  PlugInStatus,
  'evaluation' | 'gates' | 'analysis' | 'merge' | 'aggregate' | 'parties'
> & {
  artifact?: { digest: string; sizeBytes: number };
};

/** What the manifest of a release says of it, from which a run that finds it reports the same. */
type Scores = { evaluation: MeasuredTask[]; analysis?: AnalysisRecord } & Partial<FoundOfSeveral>;

/** What else is said where several adapters became one: all verdicts, and what the saved model keeps of what came of them. */
interface FoundOfSeveral extends Pick<PlugInStatus, 'merge'> {
  readonly aggregate: Aggregate;
  readonly parties: readonly PartyVerdict[];
}

/**
 * Checks the adapter, plugs it in, measures the cells, analyses, checks the gates and saves what was asked for. Several
 * adapters are made one first.
 * @param report called with evaluation, gates and analysis before a failed gate stops the release
 * @throws OffsiteError BadModel, BadData, GateFailed, Cancelled
 */
export async function plug(options: PlugOptions, report: (result: PlugResult) => void): Promise<PlugResult> {
  const { spec, output, keeper = inPlace } = options;
  const opened = openSides(spec, options);
  const { checkUnchanged } = opened;
  let aggregated: Aggregated | undefined;
  try {
    checkSave(spec, opened);
    checkPrecision(spec, opened.model, options.engine.rounding.precision);
    const rows = rowDigests(options);
    const work = describe(options, opened, rows);
    const destination = { output, own: options.work, keeper, mayReplace: options.mayReplace };
    const done = await doneOrFree(destination, work);
    const before = done?.manifest.scores as Scores | undefined;
    if (spec.aggregation !== undefined && before === undefined)
      aggregated = aggregatedOf(options, opened, opened.parties);

    const sides = sidesOf(options, opened, aggregated?.adapter);
    const kept =
      (spec.analysis || spec.aggregation?.leaveOneOut) && before === undefined
        ? await KeptWork.open(options.work, keptFor(work, spec.analysis), keeper, checkUnchanged)
        : undefined;
    const measureAll = () => cellsOf(options, sides, rows);
    const measured = before?.evaluation ?? (kept ? await kept.evaluation(measureAll) : await measureAll());
    checkUnchanged();
    const gates = gatesOf(spec, measured);
    const evaluation = measured.map(({ exact: _, ...task }): TaskResult => task);
    let several = before === undefined ? severalOf(options, sides, aggregated) : foundBefore(before);
    const merge = several === undefined ? mergeOf(options, sides) : mergeIn(several);
    report({ evaluation, gates, ...merge, ...statusOf(several, opened) });
    if (several !== undefined && kept !== undefined && spec.aggregation?.leaveOneOut)
      several = {
        ...several,
        parties: await partiesLeftOut(options, sides, { several, opened, kept, rows }),
      };
    const analysis = before?.analysis ?? (kept && (await analysisOf(options, sides, { kept, rows })));
    const found = {
      ...{ evaluation, gates, ...merge, ...statusOf(several, opened) },
      ...(analysis ? { analysis: summaryOf(analysis) } : {}),
    };
    report(found);
    stopAtFailedGate(spec, gates, output);
    if (spec.output.save === 'none') return found;

    let digest = done?.digest;
    if (digest === undefined) {
      const copy = aggregated?.copy ?? opened.parties[0]!.adapter.copy;
      const fill = (files: WrittenFiles): Scores => {
        writeRelease(files, { spec, copy }, sides);
        return { evaluation: measured, ...(analysis ? { analysis } : {}), ...several };
      };
      ({ digest } = await seal(destination, work, { fill, checkUnchanged }));
    }
    const { sizeBytes } = openArtifact(output, { digest });
    return { ...found, artifact: { digest, sizeBytes } };
  } finally {
    aggregated?.close();
    opened.close();
  }
}

/** @param adapter what came of several; else the one that there is */
function sidesOf(
  { spec }: PlugOptions,
  { model, bundle, parties }: OpenSides,
  adapter: PluggableAdapter = parties[0]!.adapter,
): Sides {
  const plugged = mergedTensors(model, adapter, Number(spec.coefficient), savedAs(spec));
  return { model, bundle, adapter, plugged };
}

/** Where nothing is saved, what the model would be. */
const savedAs = ({ output: { save } }: PlugIn['spec']) => (save === 'adapter' ? 'adapter' : 'model');

/** Makes one adapter of some of the parties'. */
function aggregatedOf(
  { spec, work, engine, emit }: PlugOptions,
  { model, bundle }: OpenSides,
  parties: readonly Party[],
  place = 'aggregate',
): Aggregated {
  const aggregation = spec.aggregation as Aggregation;
  const elements = changedElements(parties[0]!.adapter, model);
  const progress = progressOf('plug: aggregation', elements * passesOf(aggregation), emit);
  return aggregateAdapters(parties, {
    ...{ model, bundle, aggregation },
    asAdapter: spec.output.save === 'adapter',
    directory: join(work, place),
    beforeEach(count) {
      engine.throwIfCancelled();
      progress(count);
    },
  });
}

const severalOf = (
  options: PlugOptions,
  sides: Sides,
  aggregated: Aggregated | undefined,
): FoundOfSeveral | undefined =>
  aggregated && {
    aggregate: aggregated.aggregate,
    parties: aggregated.parties,
    ...mergeOf(options, sides),
  };

const foundBefore = ({ aggregate, parties, merge }: Scores): FoundOfSeveral | undefined =>
  aggregate && parties && { aggregate, parties, ...(merge && { merge }) };

const mergeIn = ({ merge }: FoundOfSeveral) => (merge === undefined ? {} : { merge });

function statusOf(
  several: FoundOfSeveral | undefined,
  { parties }: OpenSides,
): Pick<PlugResult, 'aggregate' | 'parties'> {
  if (several === undefined) return {};
  const names = new Map(parties.map(({ adapter, name }) => [adapter.digest, name]));
  return { aggregate: several.aggregate, parties: inStatus(several.parties, names) };
}

/** The verdicts, each with what the plug-in is without that party. */
async function partiesLeftOut(
  options: PlugOptions,
  sides: Sides,
  {
    several,
    opened,
    kept,
    rows,
  }: { several: FoundOfSeveral; opened: OpenSides; kept: KeptWork; rows: readonly string[] },
): Promise<PartyVerdict[]> {
  const { spec, engine, memory, emit } = options;
  const { bootstrapSamples: resamples, seed } = spec.evaluation as NonNullable<typeof spec.evaluation>;
  const others = (digest: string) => opened.parties.filter(({ adapter }) => adapter.digest !== digest);
  const tasks = await loadTasks(options, sides.model, { rows });
  const without = await leaveOneOut(
    opened.parties.map(({ adapter }) => adapter.digest),
    sides,
    {
      tasks: await withReferences(tasks, sides, { engine, memory, emit }),
      withoutOne(digest) {
        // Beside the first, which stays open: it is saved in the end.
        const made = aggregatedOf(options, opened, others(digest), 'aggregate-without');
        return { plugged: sidesOf(options, opened, made.adapter).plugged, close: made.close };
      },
      ...{ kept, engine, memory, emit, resamples, seed },
    },
  );
  return several.parties.map((party) => {
    const found = without.get(party.digest);
    return { ...party, ...(found && { without: found }) };
  });
}

/** All that a release depends on. */
function describe(
  options: PlugOptions,
  { model, modelDigest, bundle, parties }: OpenSides,
  rows: readonly string[],
): Work {
  const { spec } = options;
  const { save } = spec.output;
  const digests = parties.map(({ adapter }) => adapter.digest);
  return {
    kind: save === 'adapter' ? 'Adapter' : 'Model',
    madeFrom: {
      ...{ model: modelDigest, emulator: bundle.artifact.digest },
      ...(spec.aggregation === undefined
        ? { adapter: digests[0]! }
        : Object.fromEntries(digests.map((digest, i) => [`adapters[${i}]`, digest]))),
    },
    hyperparameters: {
      ...options.engine.rounding,
      coefficient: spec.coefficient,
      save,
      ...(save === 'adapter' ? { adapter: parties[0]!.adapter.type } : {}),
      // Earlier versions measured an adapter rounded to the model's type, too.
      ...(save === 'adapter' && roundsChanges(model, parties[0]!.adapter) ? { measured: 'float32' } : {}),
      evaluation: evaluationOf(spec),
      rows,
      ...(spec.analysis ? { analysis: spec.analysis } : {}),
      ...(spec.aggregation && {
        aggregation: spec.aggregation,
        ...settled(spec.aggregation),
        parties: parties.map(({ weight, signer }) => ({ weight, ...(signer && { signer }) })),
      }),
    },
  };
}

/** Earlier versions took ten steps where none were asked for. */
const settled = ({ method, iterations }: Aggregation) =>
  method === 'geometricMedian' && iterations === undefined ? { iterations: 'until it stands still' } : {};

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
const keptFor = ({ madeFrom, hyperparameters }: Work, analysis: PlugIn['spec']['analysis']) => ({
  madeFrom,
  hyperparameters: {
    ...hyperparameters,
    ...(analysis && { analysis: { tasks: analysis.tasks, limit: analysis.limit } }),
  },
});

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
    at: (c) => (c === coefficient ? plugged : mergedTensors(model, adapter, c, savedAs(options.spec))),
    plugged: { transferLayers: trainedLayers(bundle.plan), coefficient },
    tasks: await withReferences(tasks, sides, { engine, memory, emit }),
    kept,
    engine,
    memory,
    emit,
  });
}

/**
 * The rows of all tasks, or of some and only the first of each. What was loaded before is no longer needed.
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
  tokensOfThread.empty();
  packedOfThread.empty();
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
