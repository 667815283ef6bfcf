// What each stage computes: from its job to the work of emulator, tuning and plug-in, and to its result.
import {
  type AutoFound,
  bytesOf,
  type EmulatorBuild,
  OffsiteError,
  type OffsiteTune,
  type PlugIn,
  type StageName,
  wayOf,
} from '../../api/index.ts';
import type { Keeper } from '../../artifact/index.ts';
import {
  type AssembleInput,
  assemble,
  type BuildInput,
  type Bundle,
  bundleSlots,
  checkBundlePlace,
  type Found,
  observedFor,
  observedForAuto,
  type ProbeKey,
  planOptions,
  runProbe,
} from '../../emulator/index.ts';
import { Engine } from '../../engine/index.ts';
import { openAdapter, type PlugResult, plug } from '../../plugin/index.ts';
import type { Emit } from '../../progress/index.ts';
import { type Start, tune } from '../../tuning/index.ts';
import type { StageJob } from '../job.ts';
import { artifactOf, outputOf, pathOf, pathsOf, workOf } from '../places.ts';

export interface StageContext {
  emit: Emit;
  /** One int32 that becomes 1 when the stage is to stop. */
  cancel: SharedArrayBuffer;
  /** Brings checkpoints and pooled states from their store and there. */
  keeper: Keeper;
}

/** Runs a stage; what it found goes out as one `result` event, the part of the resource's status that it settles. */
type Stage = (job: StageJob, context: StageContext) => Promise<void>;

/** What a stage may take where spec.engine.memory does not say. */
const defaultMemory = 4 * 2 ** 30;

export const stages: Readonly<Record<StageName, Stage>> = {
  async probe(job, context) {
    const { spec } = job.resource as EmulatorBuild;
    const { index, count } = job.shard ?? { index: 0, count: 1 };
    const check = (key: ProbeKey) => checkBundlePlace(key, assembleInput(job, context));
    await withEngine(spec.engine, context.cancel, (engine) =>
      runProbe(engine, buildInput(job, context, count), index, check),
    );
    const { emit } = context;
    emit({ type: 'result', stage: 'probe', result: {} });
  },

  async assemble(job, context) {
    const { emit, cancel } = context;
    const { spec } = job.resource as EmulatorBuild;
    const input = assembleInput(job, context);
    const made = await withEngine(spec.engine, cancel, (engine) => assemble(engine, input));
    const { clusters, kept, transferLayers: transfer, source, adjacent } = made.similarity;
    const { doubts } = made;
    if (doubts !== undefined) emit({ type: 'warning', reason: 'SimilarityDoubtful', message: doubts });
    const result = {
      similarity: { adjacent: adjacent.map((value) => value.toFixed(6)), ...(doubts ? { doubts } : {}) },
      plan: { clusters, kept, transferLayers: transfer, source },
      ...(made.auto && { auto: autoOf(made.auto) }),
      scores: scoresOf(made),
      artifact: { uri: spec.output.uri, ...made.artifact },
    };
    emit({ type: 'result', stage: 'assemble', result });
  },

  async tune(job, { emit, cancel, keeper }) {
    const { spec } = job.resource as OffsiteTune;
    const [validation] = pathsOf(job, 'validation');
    const made = await withEngine(spec.engine, cancel, (engine) =>
      tune({
        spec,
        emulator: artifactOf(job, 'emulator'),
        start: spec.start && startOf(artifactOf(job, 'start')),
        data: pathOf(job, 'rows'),
        validation,
        output: outputOf(job),
        work: workOf(job).own,
        engine,
        memory: memoryOf(spec.engine),
        emit,
        keeper,
        mayReplace: job.mayReplace,
        told: job.told,
      }),
    );
    const { artifact, ...rest } = made;
    emit({
      type: 'result',
      stage: 'tune',
      result: { ...rest, artifact: { uri: spec.output.uri, ...artifact } },
    });
  },

  async plug(job, { emit, cancel, keeper }) {
    const { spec } = job.resource as PlugIn;
    const report = ({ artifact, ...rest }: PlugResult) =>
      emit({
        type: 'result',
        stage: 'plug',
        result: { ...rest, ...(artifact ? { artifact: { uri: spec.output.uri, ...artifact } } : {}) },
      });
    const made = await withEngine(spec.engine, cancel, (engine) =>
      plug(
        {
          spec,
          model: pathOf(job, 'model'),
          emulator: artifactOf(job, 'emulator'),
          adapters:
            spec.adapters === undefined
              ? [artifactOf(job, 'adapter')]
              : spec.adapters.map((_, i) => artifactOf(job, `adapters[${i}]`)),
          tasks: pathsOf(job, 'task'),
          output: outputOf(job),
          work: workOf(job).own,
          engine,
          memory: memoryOf(spec.engine),
          emit,
          keeper,
          mayReplace: job.mayReplace,
        },
        report,
      ),
    );
    report(made);
  },
};

/** The adapter that a training goes on from, checked as one that comes back. */
const startOf =
  ({ directory, digest }: ReturnType<typeof artifactOf>) =>
  (bundle: Bundle): Start => {
    const emulator = bundle.artifact.digest;
    try {
      return openAdapter(directory, {
        ...{ model: bundle.model, slots: bundleSlots(bundle), emulator, bundle, digest },
      });
    } catch (error) {
      throw error instanceof OffsiteError
        ? new OffsiteError(error.reason, `spec.start: ${error.message}`)
        : error;
    }
  };

type EngineSpec = EmulatorBuild['spec']['engine'];

async function withEngine<T>(
  spec: EngineSpec,
  cancel: SharedArrayBuffer,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  const { provider, precision, threads } = spec;
  const memory = memoryOf(spec);
  // What a device has is for the engine to read.
  const stored = spec.memory === undefined ? undefined : memory;
  const engine = await Engine.create({ provider, precision, threads, memory, stored, cancel });
  try {
    return await use(engine);
  } finally {
    await engine.dispose();
  }
}

function assembleInput(job: StageJob, context: StageContext): AssembleInput {
  const { spec } = job.resource as EmulatorBuild;
  return {
    ...buildInput(job, context, spec.probe.shards),
    own: workOf(job).own,
    refine: spec.refine,
    leakTest: leakTestOf(job),
    ...spec.evaluation,
  };
}

function leakTestOf(job: StageJob): AssembleInput['leakTest'] {
  const { leakTest } = (job.resource as EmulatorBuild).spec;
  if (leakTest === undefined) return undefined;
  const { data, task, ...options } = leakTest;
  return {
    ...options,
    data: { path: pathOf(job, 'leakData'), format: data.format, digest: data.digest },
    task: task && {
      ...{ path: pathOf(job, 'leakTask'), format: task.format, digest: task.data.digest },
      limit: task.limit,
    },
  };
}

function buildInput(job: StageJob, { emit, keeper }: StageContext, shards: number) {
  const { spec } = job.resource as EmulatorBuild;
  return {
    model: pathOf(job, 'model'),
    data: { path: pathOf(job, 'probe'), format: spec.probe.data.format },
    probe: { ...spec.probe, shards },
    expected: { model: spec.model.digest, data: spec.probe.data.digest },
    ...wayIn(spec),
    similarity: similarityOf(spec.similarity),
    output: outputOf(job),
    work: workOf(job).shared,
    memory: memoryOf(spec.engine),
    emit,
    keeper,
    mayReplace: job.mayReplace,
  } satisfies BuildInput;
}

/** What makes the emulator; or what it is to be found within. */
function wayIn(
  spec: EmulatorBuild['spec'],
): Pick<AssembleInput, 'plan' | 'compression' | 'auto' | 'observe'> {
  const { auto, sharing, transferLayers, refine } = spec;
  const way = wayOf(spec);
  if (way !== undefined)
    return {
      plan: planOptions(way, sharing),
      compression: way.compression,
      observe: observedFor(way.compression),
    };
  const { leakAtMost, sizeAtMost, exactAtMost } = auto!;
  return {
    auto: {
      ...{ leakAtMost: Number(leakAtMost), sizeAtMost: Number(sizeAtMost) },
      ...(exactAtMost === undefined ? {} : { exactAtMost: Number(exactAtMost) }),
      ...{ sharing, transferLayers, compressedOnly: refine !== undefined },
    },
    observe: observedForAuto,
  };
}

const similarityOf = ({ metric, threshold = '1' }: EmulatorBuild['spec']['similarity']) =>
  metric === 'rbfCKA' ? { metric, threshold: Number(threshold) } : { metric };

const memoryOf = ({ memory }: EngineSpec) => (memory === undefined ? defaultMemory : bytesOf(memory));

function scoresOf(made: Awaited<ReturnType<typeof assemble>>) {
  const { evaluation, exactShare } = made;
  const shares = { exactTensorShare: figure(exactShare.tensors), ...leakOf(made), ...recoveryOf(made) };
  if ('reason' in evaluation) return { ...shares, reason: evaluation.reason };
  const { metric, samples, full, emulator, cpl } = evaluation;
  return {
    metric,
    samples,
    full: figures(full),
    emulator: figures(emulator),
    ...shares,
    ...(cpl === undefined ? {} : { cpl: figure(cpl) }),
  };
}

function autoOf({ way, reason, candidates, rows, passes }: Found): AutoFound {
  return {
    ...{ chosen: shownWay(way), reason, rows, passes: passes.toFixed(2) },
    candidates: candidates.map(({ way, sizeShare, exactParameterShare, figures, sealed, verdict }) => ({
      ...shownWay(way),
      ...{ sizeShare: figure(sizeShare), exactParameterShare: figure(exactParameterShare), verdict },
      ...(sealed && { sealedBitsKept: shownBits(sealed) }),
      ...(figures && {
        bitsKept: shownBits(figures.bitsKept),
        agreement: figure(figures.agreement),
        agreementAtStart: figure(figures.agreementAtStart),
        agreementTrained: figure(figures.agreementTrained),
      }),
    })),
  };
}

type Bits = NonNullable<Found['candidates'][number]['sealed']>;

/** By how much more of the bits without some one row is told. */
const outweighed = 0.1;

const shownBits = ({ value, stderr, withoutOne = value }: Bits) => ({
  value: figure(value),
  ...(stderr === undefined ? {} : { stderr: figure(stderr) }),
  ...(withoutOne - value < outweighed ? {} : { withoutOneRow: figure(withoutOne) }),
});

const shownWay = ({ strategy, layers, compression, transferLayers }: Found['way']): AutoFound['chosen'] => ({
  strategy,
  ...(layers === undefined ? {} : { layers }),
  ...(compression && {
    compression: { type: compression.type, ...(compression.ratio && { ratio: compression.ratio }) },
  }),
  transferLayers,
});

function leakOf({ leak, exactShare }: Awaited<ReturnType<typeof assemble>>) {
  if (leak === undefined) return {};
  const { control, correctedCpl, bitsKept, greedyAgreement, subspaceShare } = leak;
  return {
    leak: {
      ...(control && { control: figures(control) }),
      ...(correctedCpl && { correctedCpl: figures(correctedCpl) }),
      ...(bitsKept && { bitsKept: figures(bitsKept) }),
      ...(greedyAgreement && { greedyAgreement: figures(greedyAgreement) }),
      exactParameterShare: figure(exactShare.parameters),
      subspaceShare: figure(subspaceShare.matrices),
      layerSubspaceShare: figure(subspaceShare.layers),
    },
  };
}

function recoveryOf({ leakTest }: Awaited<ReturnType<typeof assemble>>) {
  if (leakTest === undefined) return {};
  const { full, points, halfway, ...rest } = leakTest;
  return {
    leakTest: {
      ...{ ...rest, full: figures(full) },
      points: points.map(({ tokens, emulator, control }) => ({
        ...{ tokens, emulator: figures(emulator), control: figures(control) },
      })),
      ...(halfway === undefined ? {} : { halfway: figure(halfway) }),
    },
  };
}

const figure = (value: number) => value.toFixed(4);

/** The same figures as a status writes them. */
const figures = <F extends object>(found: F) =>
  Object.fromEntries(Object.entries(found).map(([name, value]) => [name, figure(value as number)])) as {
    [Name in keyof F]: string;
  };
