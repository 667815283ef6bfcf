// A checkpoint larger than the memory that the process may use is probed, assembled, plugged in and analysed: 3 GB of
// bfloat16 under 1 GB in `make test-faults` (its blocks take 176 MB as float32), 620 MB under 500 MB in `make test`. Page
// cache counts too.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../src/checkpoint/index.ts';
import { MemoryLimit } from '../support/faults/memory-limit.ts';
import { Project } from '../support/faults/project.ts';
import { faultRuns } from '../support/faults/seed.ts';
import { digestIn } from '../support/offsite/index.ts';
import {
  setField,
  type TinyModel,
  tinyManifests,
  tinyRows,
  writeManifests,
  writeRows,
  writeTinyModel,
} from '../support/tiny/index.ts';

interface Case {
  name: string;
  model: TinyModel;
  /** Bytes of the process, page cache included. */
  limit: number;
  /** spec.engine.memory: what the stages may keep of it. */
  memory: string;
}

const small: Case = {
  name: '620 MB of float32',
  model: {
    layers: 16,
    hidden: 768,
    intermediate: 3072,
    heads: 12,
    keyValueHeads: 4,
    vocabulary: 8192,
    shardBytes: 150e6,
  },
  limit: 500e6,
  memory: '64Mi',
};
const large: Case = {
  name: '3 GB of bfloat16',
  model: {
    ...{ layers: 31, hidden: 2048, intermediate: 5632, heads: 32, keyValueHeads: 4, vocabulary: 32000 },
    ...{ dtype: 'BF16', shardBytes: 500e6 },
  },
  limit: 1e9,
  memory: '256Mi',
};

let project: Project;
beforeEach(() => {
  project = new Project();
});
afterEach(() => project.remove());

test.each(faultRuns > 1 ? [small, large] : [small])('$name', async ({ model, limit, memory, name }) => {
  writeTinyModel(project.path('model'), model);
  writeRows(project.path('data/probe.jsonl'), tinyRows.text(8, 1));
  writeRows(project.path('data/test.jsonl'), tinyRows.multipleChoice(3, 4));
  const { build, plug } = tinyManifests();
  setField(build, 'spec.probe.samples', 4);
  setField(build, 'spec.evaluation', { limit: 2 });
  setField(build, 'spec.engine', { memory });
  const modelBytes = bytesOf(project.path('model'));
  expect(modelBytes).toBeGreaterThan(limit * 1.2);

  await runLimited(`${name}, probe and assemble`, [build], limit);
  const built = digestIn(project.path('out/emulator')) as string;
  const emulator = { uri: 'file:out/emulator', digest: built };
  const adapter = { uri: 'file:out/adapter', digest: makeAdapter(built) };
  for (const [field, value] of Object.entries({ emulator, adapter, engine: { memory } }))
    setField(plug, `spec.${field}`, value);
  setField(plug, 'spec.analysis', { interpolation: { coefficients: ['0.5'] }, layerImportance: {} });
  await runLimited(`${name}, plug in and analyse`, [plug], limit);
  expectPluggedIn();
});

/** Runs manifests under the limit, and prints the peak. */
async function runLimited(
  name: string,
  manifests: Parameters<typeof writeManifests>[1],
  limit: number,
): Promise<void> {
  writeManifests(project.path('resources.yaml'), manifests);
  const cgroup = MemoryLimit.make('offsite-faults', limit);
  try {
    const running = project.start({ through: cgroup?.through ?? [] });
    const resident = new PeakResident(running.child.pid as number);
    const ended = await running.ended;
    resident.stop();
    const seconds = (ended.milliseconds / 1000).toFixed(0);
    console.log(
      `${name}: ${megabytes(resident.bytes)} resident at most, ${cgroup ? `${megabytes(cgroup.peak)} with page cache` : 'no cgroup may be made here'}, limit ${megabytes(limit)}, ${seconds} s`,
    );
    expect(ended.signal, 'killed: out of memory').toBeNull();
    expect(ended.code, ended.stderr).toBe(0);
    expect(resident.bytes).toBeGreaterThan(0);
    expect(resident.bytes).toBeLessThan(limit);
  } finally {
    cgroup?.remove();
  }
}

/** An adapter for the bundle as a data owner would send it: every transfer tensor, a little changed. */
function makeAdapter(emulator: string): string {
  const checkpoint = openCheckpoint(project.path('model'));
  const names = transferNames(checkpoint);
  mkdirSync(project.path('out/adapter'));
  writeSafetensors(
    project.path('out/adapter/adapter.safetensors'),
    names.map((name) => ({
      name,
      dtype: 'F32',
      shape: checkpoint.tensors.get(name)!.shape,
      bytes: () =>
        encodeFloats(
          checkpoint.read(name).map((value) => value * 1.01),
          'F32',
        ),
    })),
  );
  checkpoint.close();
  const { digest } = sealArtifact(project.path('out/adapter'), {
    kind: 'Adapter',
    madeFrom: { emulator },
    hyperparameters: { adapter: { type: 'layers' } },
  });
  return digest;
}

function transferNames(checkpoint: ReturnType<typeof openCheckpoint>): string[] {
  const { transferLayers } = JSON.parse(
    readFileSync(project.path('out/emulator/similarity.json'), 'utf8'),
  ) as {
    transferLayers: number[];
  };
  return [...checkpoint.tensors.keys()].filter((name) =>
    transferLayers.some((layer) => name.startsWith(`model.layers.${layer}.`)),
  );
}

/** The transfer tensors have changed, every other tensor has its bytes. */
function expectPluggedIn(): void {
  const [before, after] = [openCheckpoint(project.path('model')), openCheckpoint(project.path('out/model'))];
  const changed = [...before.tensors.keys()].filter(
    (name) => Buffer.compare(before.readBytes(name), after.readBytes(name)) !== 0,
  );
  expect(changed.sort()).toEqual(transferNames(before).sort());
  before.close();
  after.close();
}

/** The most memory of a process that is its own, not the page cache's (VmHWM), looked at ten times a second. */
class PeakResident {
  bytes = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    const file = `/proc/${pid}/status`;
    this.#timer = setInterval(() => {
      if (!existsSync(file)) return;
      const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(file, 'utf8'))?.[1];
      this.bytes = Math.max(this.bytes, Number(kilobytes ?? 0) * 1024);
    }, 100);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function bytesOf(directory: string): number {
  const checkpoint = openCheckpoint(directory);
  const sizes = [...checkpoint.tensors.values()].map(
    ({ shape, dtype }) => shape.reduce((a, b) => a * b, 1) * (dtype === 'F32' ? 4 : 2),
  );
  checkpoint.close();
  return sizes.reduce((a, b) => a + b, 0);
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
