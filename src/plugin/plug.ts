import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  badModel,
  badSpec,
  gateFailed,
  type PlugIn,
  type PlugInStatus,
  type TaskResult,
} from '../api/index.ts';
import {
  CheckedFiles,
  canonicalJson,
  copyModelFile,
  digestOf,
  inPlace,
  type Keeper,
  type OpenedArtifact,
  openArtifact,
  peekManifest,
  refuseUnknown,
  sealArtifact,
  writeArtifact,
} from '../artifact/index.ts';
import { dataDigest } from '../data/index.ts';
import { type Bundle, openBundle } from '../emulator/index.ts';
import type { Engine } from '../engine/index.ts';
import { loadTask, type TaskData } from '../evaluation/index.ts';
import { type Model, type Overlay, openModel } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import { type Adapter, adapterFile, openAdapter } from './adapter.ts';
import { type AnalysisRecord, analyse, KeptWork, summaryOf } from './analysis/index.ts';
import { measureCells, type Sides } from './cells.ts';
import { checkGates, type GateName, type GateResult } from './gates.ts';
import { type MeasuredTask, valuesOf } from './measured.ts';
import { mergedTensors, savePluggedIn } from './merge.ts';
import { roundedAway, roundingOf } from './rounding.ts';

export interface PlugOptions {
  spec: PlugIn['spec'];
  model: string;
  emulator: { directory: string; digest?: string | undefined };
  adapter: { directory: string; digest?: string | undefined };
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

/**
 * Checks the adapter, plugs it in, measures the cells, analyses, checks the gates and saves what was asked for.
 * @param report called with evaluation, gates and analysis before a failed gate stops the release
 * @throws OffsiteError BadModel, BadData, GateFailed, Cancelled
 */
export async function plug(options: PlugOptions, report: (result: PlugResult) => void): Promise<PlugResult> {
  const { spec, output } = options;
  const model = openModel(options.model);
  const opened: { close(): void }[] = [model];
  try {
    const checked = new CheckedFiles();
    const modelDigest = digestOf(options.model, checked);
    if (spec.model.digest !== undefined && modelDigest !== spec.model.digest) {
      throw badModel(
        `spec.model.digest: the model's digest is ${modelDigest}, expected ${spec.model.digest}`,
      );
    }
    const bundle = openBundle(options.emulator.directory, options.emulator.digest);
    if (bundle.artifact.manifest.madeFrom['model'] !== modelDigest) {
      throw badModel(
        `spec.emulator: the bundle was made from model ${bundle.artifact.manifest.madeFrom['model']}, not from ${modelDigest}`,
      );
    }
    opened.push(bundle);
    const adapter = openAdapter(options.adapter.directory, {
      model,
      emulator: bundle.artifact.digest,
      transferLayers: bundle.plan.transferLayers,
      digest: options.adapter.digest,
    });
    opened.push(adapter);
    checkSave(spec, adapter, bundle);
    const checkUnchanged = () => {
      for (const files of [checked, bundle.artifact.checked, adapter.checked]) files.checkUnchanged();
    };

    const identity = {
      kind: 'Model' as const,
      madeFrom: { model: modelDigest, emulator: bundle.artifact.digest, adapter: adapter.digest },
      hyperparameters: {
        coefficient: spec.coefficient,
        save: spec.output.save,
        ...(spec.output.save === 'adapter' ? { adapter: adapter.type } : {}),
        evaluation: evaluationOf(spec),
        rows: rowDigests(options),
        ...(spec.analysis ? { analysis: spec.analysis } : {}),
      },
    };
    const done = finished(output, identity);
    if (done === undefined) refuseUnknown(output, options.mayReplace ?? true);
    const plugged = mergedTensors(model, adapter, Number(spec.coefficient));
    const kept =
      spec.analysis && !done
        ? await KeptWork.open(
            options.work,
            keptFor(identity, spec.analysis),
            options.keeper ?? inPlace,
            checkUnchanged,
          )
        : undefined;
    const sides = { model, bundle, adapter, plugged };
    const measureAll = () => cellsOf(options, sides);
    const measured = done?.evaluation ?? (kept ? await kept.evaluation(measureAll) : await measureAll());
    checkUnchanged();
    const gates = checkAll(spec, measured);
    const evaluation = measured.map(({ exact: _, ...task }): TaskResult => task);
    const merge = mergeOf(options, model, adapter);
    report({ evaluation, gates, ...merge });
    const analysis = done?.analysis ?? (kept && (await analysisOf(options, sides, kept)));
    const found = { evaluation, gates, ...merge, ...(analysis ? { analysis: summaryOf(analysis) } : {}) };
    report(found);
    stopAtFailedGate(spec, gates);
    if (spec.output.save === 'none') return found;

    const scores = { evaluation: measured, ...(analysis ? { analysis } : {}) };
    const artifact = done
      ? openArtifact(output)
      : await save(
          options,
          model,
          plugged,
          { adapter, from: options.adapter.directory },
          {
            ...identity,
            kind: spec.output.save === 'model' ? 'Model' : 'Adapter',
            scores,
          },
          checkUnchanged,
        );
    return { ...found, artifact: { digest: artifact.digest, sizeBytes: artifact.sizeBytes } };
  } finally {
    for (const open of opened) open.close();
  }
}

/** How much of the change the saved model's type keeps; a warning where that is the lesser part. */
function mergeOf({ spec, emit }: PlugOptions, model: Model, adapter: Adapter): Pick<PlugResult, 'merge'> {
  if (spec.output.save !== 'model') return {};
  const rounding = roundingOf(model, adapter, Number(spec.coefficient));
  if (rounding === undefined) return {};
  const message = roundedAway(rounding);
  if (message !== undefined) emit({ type: 'warning', reason: 'RoundedAway', message });
  const { dtype, changed, kept } = rounding;
  return { merge: { dtype, changedWeights: changed, keptShare: figure(kept) } };
}

/** @throws OffsiteError BadSpec where the plugged-in model is to be saved and is none that others could load */
function checkSave({ output }: PlugIn['spec'], adapter: Adapter, { plan }: Bundle): void {
  const inserts = plan.transferLayers.some((layer) => Object.keys(adapter.inserted(layer)).length > 0);
  if (inserts && output.save === 'model')
    throw badSpec(
      `spec.output.save: must be adapter or none: a ${adapter.type.type} adapter inserts modules, which no architecture that transformers loads has`,
    );
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
  { madeFrom, hyperparameters }: Identity,
  { tasks, limit }: NonNullable<PlugIn['spec']['analysis']>,
) => ({ madeFrom, hyperparameters: { ...hyperparameters, analysis: { tasks, limit } } });

interface Identity {
  madeFrom: Record<string, string>;
  hyperparameters: Record<string, unknown>;
}

interface Done {
  evaluation: MeasuredTask[];
  analysis?: AnalysisRecord;
}

/** What was measured for an artifact that lies there already and was made of the same things in the same way. */
function finished(output: string, identity: Identity): Done | undefined {
  const peeked = peekManifest(output);
  if (peeked === undefined) return undefined;
  const { madeFrom, hyperparameters, scores } = peeked.manifest;
  const same =
    canonicalJson({ madeFrom, hyperparameters }) ===
    canonicalJson({ madeFrom: identity.madeFrom, hyperparameters: identity.hyperparameters });
  return same ? (scores as unknown as Done) : undefined;
}

/** The analyses that the spec asks for, on the tasks and rows that it names. */
async function analysisOf(
  options: PlugOptions,
  { model, bundle, adapter, plugged }: Sides,
  kept: KeptWork,
): Promise<AnalysisRecord | undefined> {
  const { engine, memory, emit } = options;
  const { analysis, evaluation } = options.spec;
  if (analysis === undefined || evaluation === undefined) return undefined;
  const coefficient = Number(options.spec.coefficient);
  return analyse({
    analysis,
    model,
    at: (c) => (c === coefficient ? plugged : mergedTensors(model, adapter, c)),
    plugged: { transferLayers: bundle.plan.transferLayers, coefficient },
    tasks: await loadTasks(options, model, { tasks: analysis.tasks, limit: analysis.limit }),
    kept,
    engine,
    memory,
    emit,
  });
}

/** The rows of all tasks, or of some and only the first of each. */
async function loadTasks(
  { spec, tasks, engine }: PlugOptions,
  model: Model,
  {
    tasks: names,
    limit = Number.POSITIVE_INFINITY,
  }: { tasks?: string[] | undefined; limit?: number | undefined } = {},
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
        maxLength: evaluation?.maxLength as number,
        limit: Number.isFinite(least) ? least : undefined,
      }),
    );
  }
  return loaded;
}

/** The cells of every task that the spec names, whatever was kept of them. */
async function cellsOf(options: PlugOptions, sides: Sides): Promise<MeasuredTask[]> {
  const { spec, engine, memory, emit } = options;
  const { evaluation } = spec;
  if (evaluation === undefined) return [];
  const { bootstrapSamples: resamples, seed } = evaluation;
  const tasks = await loadTasks(options, sides.model);
  return measureCells(tasks, sides, { engine, memory, emit, resamples, seed });
}

/** On the figures as they were measured, also where an earlier run has measured them. */
function checkAll(spec: PlugIn['spec'], evaluation: readonly MeasuredTask[]): GateResult[] {
  const tolerances = Object.fromEntries(
    Object.entries(spec.gates ?? {}).map(([name, gate]) => [name, Number(gate?.tolerance ?? 0)]),
  );
  return evaluation.flatMap((task) =>
    checkGates(task.task, task.metric as TaskData['metric'], valuesOf(task), tolerances),
  );
}

/** Only gates that the spec names stop the release. */
function stopAtFailedGate(spec: PlugIn['spec'], gates: readonly GateResult[]): void {
  const asked = new Set(
    Object.entries(spec.gates ?? {}).flatMap(([name, gate]) =>
      gate === undefined ? [] : [name as GateName],
    ),
  );
  const failed = gates.filter(({ name, passed }) => !passed && asked.has(name.split('/')[1] as GateName));
  if (failed.length === 0) return;
  throw gateFailed(
    `${failed.map(({ name, message }) => `gate ${name}: ${message}`).join('; ')}; nothing was released`,
  );
}

async function save(
  { output, keeper = inPlace }: PlugOptions,
  model: Model,
  plugged: Overlay,
  { adapter, from }: { adapter: Adapter; from: string },
  description: Parameters<typeof sealArtifact>[1],
  checkUnchanged: () => void,
): Promise<OpenedArtifact> {
  const fill = (directory: string) => {
    if (description.kind === 'Model') savePluggedIn(directory, model, plugged);
    else {
      copyModelFile(join(from, adapterFile), join(directory, adapterFile));
      for (const [name, text] of Object.entries(adapter.files)) writeFileSync(join(directory, name), text);
    }
    checkUnchanged();
    sealArtifact(directory, description);
  };
  await writeArtifact(output, fill, () => keeper.claim());
  return openArtifact(output);
}

const figure = (value: number) => value.toFixed(4);
