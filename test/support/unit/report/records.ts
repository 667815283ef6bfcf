import {
  apiVersion,
  type EmulatorBuild,
  type EmulatorBuildStatus,
  type OffsiteTune,
  type OffsiteTuneStatus,
  type PlugIn,
  type PlugInStatus,
  parseResource,
  type TaskResult,
} from '../../../../src/api/index.ts';
import type { SimilarityRecord } from '../../../../src/emulator/index.ts';
import { makePlan } from '../../../../src/emulator/strategies/make-plan.ts';
import { type AnalysisRecord, summaryOf } from '../../../../src/plugin/index.ts';
import type { BuildEntry, PlugInEntry, ReportRecord, TuneEntry } from '../../../../src/report/record.ts';

const time = '2026-05-01T10:00:00.000Z';
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

const parsed = <R>(kind: string, name: string, spec: unknown): R =>
  parseResource({ apiVersion, kind, metadata: { name }, spec }, 'test') as R;

const complete = (name: string) => ({
  phase: 'Complete' as const,
  startTime: time,
  completionTime: time,
  conditions: [
    {
      type: 'Complete',
      status: 'True' as const,
      reason: 'Complete',
      message: 'every stage is done',
      lastTransitionTime: time,
    },
  ],
  artifact: { uri: `pvc://artifacts/${name}`, digest: digest('a'), sizeBytes: 123_456_789 },
});

export const failedStatus = (reason: string, message: string) => ({
  phase: 'Failed' as const,
  conditions: [{ type: 'Failed', status: 'True' as const, reason, message, lastTransitionTime: time }],
});

const manifest = {
  value: {
    kind: 'Emulator' as const,
    files: [{ path: 'model.safetensors', sizeBytes: 100, sha256: 'b'.repeat(64) }],
    madeFrom: { model: digest('c') },
    hyperparameters: {},
  },
};

/** A similarity of layers that fades with their distance; `depth` layers, half of them kept. */
export function similarityOf(depth: number, sharing: 'nearest' | 'none' = 'nearest'): SimilarityRecord {
  const at = (layer: number) => layer + 3 * Math.sin(layer);
  const matrix = Array.from({ length: depth }, (_, i) =>
    Array.from({ length: depth }, (_, j) => Math.exp(-Math.abs(at(i) - at(j)) / depth)),
  );
  const adjacent = matrix.slice(1).map((row, j) => row[j] as number);
  const layers = Math.ceil(depth / 2);
  const plan = makePlan(
    { adjacent },
    {
      strategy: 'crash',
      layers,
      sharing,
      transferLayers: { count: Math.min(4, layers) },
    },
  );
  return { metric: 'linearCKA', adjacent, matrix, ...plan };
}

export function buildEntry({
  name = 'words',
  depth = 30,
  sharing = 'nearest' as 'nearest' | 'none',
  status = {} as Partial<EmulatorBuildStatus>,
  spec = {},
  ...found
}: {
  name?: string;
  depth?: number;
  sharing?: 'nearest' | 'none';
  status?: Partial<EmulatorBuildStatus>;
  /** Fields that are other than here. */
  spec?: object;
} & Partial<Pick<BuildEntry, 'similarity'>> = {}): BuildEntry {
  const similarity = similarityOf(depth, sharing);
  const { clusters, kept, transferLayers, source, adjacent } = similarity;
  return {
    resource: parsed<EmulatorBuild>('EmulatorBuild', name, {
      model: { uri: 'pvc://models/smollm2' },
      probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' } },
      layers: kept.length,
      sharing,
      transferLayers: { count: transferLayers.length },
      output: { uri: `pvc://artifacts/${name}-emulator` },
      ...spec,
    }),
    status: {
      ...complete(`${name}-emulator`),
      similarity: { adjacent: adjacent.map((value) => value.toFixed(6)) },
      plan: { clusters, kept, transferLayers, source },
      scores: {
        metric: 'perplexity',
        samples: 200,
        full: { value: '97.7500', stderr: '3.0300' },
        emulator: { value: '6539.0000', stderr: '330.9000' },
        exactTensorShare: '0.8020',
        cpl: '0.0150',
      },
      ...status,
    },
    manifest,
    similarity: { value: similarity },
    ...found,
  };
}

export function tuneEntry({
  name = 'words',
  steps = 120,
  validation = true,
  status = {} as Partial<OffsiteTuneStatus>,
  adapter = { type: 'layers' } as OffsiteTune['spec']['adapter'],
  objective,
  start,
  ...found
}: {
  name?: string;
  steps?: number;
  validation?: boolean;
  status?: Partial<OffsiteTuneStatus>;
  adapter?: OffsiteTune['spec']['adapter'];
  objective?: OffsiteTune['spec']['objective'];
  start?: OffsiteTune['spec']['start'];
} & Partial<Pick<TuneEntry, 'history' | 'manifest'>> = {}): TuneEntry {
  const losses = Array.from({ length: steps }, (_, i) => 3 * Math.exp(-i / 60) + 0.2 * Math.sin(i));
  const cell = { value: 0.5, stderr: 0.03 };
  const evaluations = validation
    ? [0, Math.floor(steps / 2), steps].map((step, i) => ({ step, loss: 3 - i, cell }))
    : [];
  return {
    resource: parsed<OffsiteTune>('OffsiteTune', name, {
      emulator: { ref: { name: 'words' } },
      data: {
        uri: 'pvc://data/train.jsonl',
        format: objective === undefined ? 'multipleChoice' : 'preference',
        ...(validation ? { validation: { uri: 'pvc://data/validation.jsonl' } } : {}),
      },
      adapter,
      ...(objective && { objective }),
      ...(start && { start }),
      training: { steps },
      output: { uri: `pvc://artifacts/${name}-adapter` },
    }),
    status: {
      ...complete(`${name}-adapter`),
      training: {
        steps,
        bestStep: steps,
        tokens: 12_345,
        firstLoss: '3.0000',
        lastLoss: '0.5000',
        resumes: 1,
      },
      ...(validation
        ? {
            validation: {
              metric: 'acc',
              samples: 200,
              cells: {
                emulatorZeroShot: { value: '0.3000', stderr: '0.0325' },
                emulatorFineTuned: { value: '0.7000', stderr: '0.0325' },
              },
            },
          }
        : {}),
      ...status,
    },
    manifest,
    history: { value: { losses, evaluations, bestStep: steps } },
    ...found,
  };
}

/** The values of one task; the differences are as the paired bootstrap would give them, with this standard error. */
export function taskResult({
  task = 'words',
  metric = 'acc',
  full = 0.646,
  emulator = 0.316,
  tuned = 0.726,
  plugged = 0.786,
  stderr = 0.018,
  samples = 500,
}: {
  task?: string;
  metric?: string;
  samples?: number;
  full?: number;
  emulator?: number;
  tuned?: number;
  plugged?: number;
  stderr?: number;
} = {}): TaskResult {
  const figure = (value: number) => value.toFixed(4);
  const cell = (value: number) => ({ value: figure(value), stderr: figure(stderr) });
  const difference = (name: string, value: number) => ({
    name,
    value: figure(value),
    stderr: figure(stderr),
    low: figure(value - 1.96 * stderr),
    high: figure(value + 1.96 * stderr),
  });
  return {
    task,
    metric,
    samples,
    cells: {
      fullZeroShot: cell(full),
      emulatorZeroShot: cell(emulator),
      emulatorFineTuned: cell(tuned),
      plugIn: cell(plugged),
    },
    differences: [
      difference('plugIn - fullZeroShot', plugged - full),
      difference('plugIn - emulatorFineTuned', plugged - tuned),
    ],
  };
}

/** Analyses of one task, whose losses follow from the layers' numbers. */
export function analysisOf({
  depth = 30,
  transferLayers = [0, 10, 20, 29],
  metric = 'acc',
  coefficient = 1,
}: {
  depth?: number;
  transferLayers?: number[];
  metric?: string;
  coefficient?: number;
} = {}): AnalysisRecord {
  const figures = (loss: number) => [
    { value: (metric === 'perplexity' ? Math.exp(loss) : Math.exp(-loss)).toFixed(4), loss: loss.toFixed(6) },
  ];
  const atCoefficient = (c: number) => figures(1 + 0.5 * (c - 1) ** 2);
  return {
    tasks: [{ task: 'words', metric, samples: 64 }],
    coefficient,
    transferLayers,
    plugIn: atCoefficient(coefficient),
    interpolation: [-0.5, 0, 0.5, 1, 1.5].map((c) => ({ coefficient: c, figures: atCoefficient(c) })),
    deleted: Array.from({ length: depth }, (_, layer) => ({
      layer,
      figures: figures(1 + (layer === 0 ? 6 : 0.05 * Math.sin(layer))),
    })),
    rewound: transferLayers.map((layer) => ({ layer, figures: figures(1 + layer / 100) })),
  };
}

export function plugInEntry({
  name = 'words',
  tasks = [taskResult()],
  evaluated = true,
  status = {} as Partial<PlugInStatus>,
  analysis,
}: {
  name?: string;
  tasks?: TaskResult[];
  evaluated?: boolean;
  status?: Partial<PlugInStatus>;
  analysis?: AnalysisRecord;
} = {}): PlugInEntry {
  return {
    resource: parsed<PlugIn>('PlugIn', name, {
      model: { uri: 'pvc://models/smollm2' },
      emulator: { ref: { name: 'words' } },
      adapter: { ref: { name: 'words' } },
      ...(evaluated
        ? {
            evaluation: {
              tasks: (tasks.length > 0 ? tasks : [taskResult()]).map(({ task, metric }) => ({
                name: task,
                data: { uri: 'pvc://data/test.jsonl' },
                format: metric === 'perplexity' ? 'text' : 'multipleChoice',
              })),
            },
            gates: { plugInAboveFullZeroShot: {} },
          }
        : {}),
      ...(analysis ? { analysis: { interpolation: {}, layerImportance: {} } } : {}),
      output: { uri: `pvc://artifacts/${name}-model` },
    }),
    status: {
      ...complete(`${name}-model`),
      ...(evaluated
        ? {
            evaluation: tasks,
            gates: tasks.map(({ task }) => ({
              name: `${task}/plugInAboveFullZeroShot`,
              passed: true,
              message: 'acc: plugIn 0.7860, fullZeroShot 0.6460, tolerance 0',
            })),
          }
        : {}),
      ...(analysis ? { analysis: summaryOf(analysis) } : {}),
      ...status,
    },
    manifest: { absent: 'the artifact is not there any more' },
    analysis: analysis ? { value: analysis } : { absent: 'none was asked for' },
  };
}

export const recordOf = (parts: Partial<ReportRecord> = {}): ReportRecord => ({
  place: 'quickstart',
  builds: [buildEntry()],
  tunes: [tuneEntry()],
  plugIns: [plugInEntry()],
  unreadable: [],
  ...parts,
});
