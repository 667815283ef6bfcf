import { badSpec, bytesOf, type EmulatorBuild, type OffsiteTune, type PlugIn } from '../api/index.ts';
import { resolveUri } from '../artifact/index.ts';
import { type AssembleInput, assemble, type BuildInput, runProbe } from '../emulator/index.ts';
import { Engine } from '../engine/index.ts';
import { type PlugResult, plug } from '../plugin/index.ts';
import type { Emit } from '../progress/index.ts';
import { tune } from '../tuning/index.ts';
import type { ArtifactReference, StageJob, StageName } from './job.ts';

export interface StageContext {
  emit: Emit;
  /** One int32 that becomes 1 when the stage is to stop. */
  cancel: SharedArrayBuffer;
}

/** Runs a stage; what it found goes out as one `result` event, the part of the resource's status that it settles. */
type Stage = (job: StageJob, context: StageContext) => Promise<void>;

/** What a stage may take where spec.engine.memory does not say. */
const defaultMemory = 4 * 2 ** 30;

export const stages: Readonly<Record<StageName, Stage>> = {
  async probe(job, { emit, cancel }) {
    const { spec } = job.resource as EmulatorBuild;
    await withEngine(spec.engine, cancel, (engine) =>
      runProbe(engine, buildInput(job, emit), job.shard?.index ?? 0),
    );
    emit({ type: 'result', stage: 'probe', result: {} });
  },

  async assemble(job, { emit, cancel }) {
    const { spec } = job.resource as EmulatorBuild;
    const { metric, threshold } = spec.similarity;
    const { transferLayers } = spec;
    const input: AssembleInput = {
      ...buildInput(job, emit),
      similarity: metric === 'rbfCKA' ? { metric, threshold: Number(threshold ?? '1') } : { metric },
      plan: {
        strategy: spec.strategy,
        layers: spec.layers,
        sharing: spec.sharing,
        transferLayers:
          transferLayers.layers === undefined
            ? { count: transferLayers.count as number }
            : { layers: transferLayers.layers },
      },
      limit: spec.evaluation.limit,
    };
    const made = await withEngine(spec.engine, cancel, (engine) => assemble(engine, input));
    const { clusters, kept, transferLayers: transfer, source, adjacent } = made.similarity;
    const result = {
      similarity: { adjacent: adjacent.map((value) => value.toFixed(6)) },
      plan: { clusters, kept, transferLayers: transfer, source },
      scores: scoresOf(made),
      artifact: { uri: spec.output.uri, ...made.artifact },
    };
    emit({ type: 'result', stage: 'assemble', result });
  },

  async tune(job, { emit, cancel }) {
    const { spec } = job.resource as OffsiteTune;
    const place = placesOf(job);
    const { validation } = spec.data;
    const made = await withEngine(spec.engine, cancel, (engine) =>
      tune({
        spec,
        emulator: place.artifact(job.emulator, 'spec.emulator'),
        data: place.of(spec.data.uri, 'spec.data.uri'),
        validation: validation && place.of(validation.uri, 'spec.data.validation.uri'),
        output: place.of(spec.output.uri, 'spec.output.uri'),
        engine,
        memory: memoryOf(spec.engine),
        emit,
      }),
    );
    const { artifact, ...rest } = made;
    emit({
      type: 'result',
      stage: 'tune',
      result: { ...rest, artifact: { uri: spec.output.uri, ...artifact } },
    });
  },

  async plug(job, { emit, cancel }) {
    const { spec } = job.resource as PlugIn;
    const place = placesOf(job);
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
          model: place.of(spec.model.uri, 'spec.model.uri'),
          emulator: place.artifact(job.emulator, 'spec.emulator'),
          adapter: place.artifact(job.adapter, 'spec.adapter'),
          tasks: (spec.evaluation?.tasks ?? []).map(({ data }, i) =>
            place.of(data.uri, `spec.evaluation.tasks[${i}].data.uri`),
          ),
          output: place.of(spec.output.uri, 'spec.output.uri'),
          engine,
          memory: memoryOf(spec.engine),
          emit,
        },
        report,
      ),
    );
    report(made);
  },
};

type EngineSpec = EmulatorBuild['spec']['engine'];

async function withEngine<T>(
  spec: EngineSpec,
  cancel: SharedArrayBuffer,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = await Engine.create({ provider: spec.provider, threads: spec.threads, cancel });
  try {
    return await use(engine);
  } finally {
    await engine.dispose();
  }
}

function buildInput(job: StageJob, emit: Emit): BuildInput {
  const { spec } = job.resource as EmulatorBuild;
  const place = placesOf(job);
  return {
    model: place.of(spec.model.uri, 'spec.model.uri'),
    data: { path: place.of(spec.probe.data.uri, 'spec.probe.data.uri'), format: spec.probe.data.format },
    probe: { ...spec.probe, shards: job.shard?.count ?? 1 },
    output: place.of(spec.output.uri, 'spec.output.uri'),
    memory: memoryOf(spec.engine),
    emit,
  };
}

const memoryOf = ({ memory }: EngineSpec) => (memory === undefined ? defaultMemory : bytesOf(memory));

function placesOf({ mounts }: StageJob) {
  const of = (uri: string, field: string) => resolveUri(uri, mounts, field);
  return {
    of,
    artifact(reference: ArtifactReference | undefined, field: string) {
      if (reference === undefined) throw badSpec(`${field}: names no artifact`);
      return { directory: of(reference.uri, field), digest: reference.digest };
    },
  };
}

function scoresOf({ evaluation, exactShare }: Awaited<ReturnType<typeof assemble>>) {
  const exactTensorShare = exactShare.tensors.toFixed(4);
  if ('reason' in evaluation) return { exactTensorShare, reason: evaluation.reason };
  const cell = ({ value, stderr }: { value: number; stderr: number }) => ({
    value: value.toFixed(4),
    stderr: stderr.toFixed(4),
  });
  const { metric, samples, full, emulator, cpl } = evaluation;
  return {
    metric,
    samples,
    full: cell(full),
    emulator: cell(emulator),
    exactTensorShare,
    cpl: cpl.toFixed(4),
  };
}
