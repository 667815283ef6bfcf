// Ours beside PyTorch eager, in turns, on the same machine, model and rows: prints a table, writes bench/results.json.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeArtifact } from '../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../src/checkpoint/index.ts';
import { DataOrder, type Example, readRows, tokenize } from '../src/data/index.ts';
import { assemble, openBundle, type Plan, runProbe } from '../src/emulator/index.ts';
import { trainsAt } from '../src/emulator/plan/plan.ts';
import { Engine } from '../src/engine/index.ts';
import { type Model, openModel } from '../src/model/index.ts';
import { measure, median } from './child.ts';
import { operatorShares } from './operators.ts';
import * as settings from './settings.ts';

interface Measured {
  seconds: number;
  /** Of all threads: steadier than wall time where other processes take turns. */
  cpuSeconds: number;
  tokens: number;
  peakBytes: number;
}

const runs = Number(process.env['BENCH_RUNS'] ?? 3);
const python = settings.python();
const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const ours = <Result = Measured>(task: string, trace?: string) =>
  measure<Result>(process.execPath, [beside('ours.ts')], { task, trace });
const torch = (job: object) => measure<Measured>(python, [beside('torch_peer.py')], job);

await prepare();
const model = openModel(settings.model);
const bundle = openBundle(settings.emulator);
const steps = await trainingSteps(model);
const torchJobs = {
  common: { model: settings.torchModel, threads: settings.threads },
  probe: { task: 'probe', batch: 16, rows: (await probeRows(model)).map(({ trunk }) => trunk) },
  train: {
    task: 'train',
    source: bundle.plan.source,
    transferLayers: bundle.plan.transferLayers,
    steps: steps.map((rows) => rows.map(({ trunk, branches }) => ({ prompt: trunk, answer: branches[0] }))),
  },
};
const stepTokens = steps
  .slice(1)
  .flat()
  .reduce((sum, { trunk, branches }) => sum + trunk.length + branches[0]!.length, 0);

const measured = {
  probe: { ours: [] as Measured[], torch: [] as Measured[] },
  train: { ours: [] as Measured[], torch: [] as Measured[] },
  startup: [] as number[],
  matmul: [] as number[],
};
for (let run = 0; run < runs; run++) {
  measured.matmul.push((await ours<{ flops: number }>('matmul')).flops);
  measured.startup.push((await ours('startup')).wallSeconds);
  measured.probe.ours.push(await ours('probe'));
  measured.probe.torch.push(await torch({ ...torchJobs.common, ...torchJobs.probe }));
  measured.train.ours.push({ ...(await ours('train')), tokens: stepTokens });
  measured.train.torch.push(await torch({ ...torchJobs.common, ...torchJobs.train }));
  console.error(`run ${run + 1} of ${runs} done`);
}
const traces = { probe: await tracedShares('probe'), train: await tracedShares('train') };

const peak = Math.max(...measured.matmul);
const speed = (list: Measured[]) => median(list.map(({ tokens, seconds }) => tokens / seconds));
const cpuOf = (list: Measured[]) =>
  median(list.map(({ tokens, cpuSeconds }) => (1000 * cpuSeconds) / tokens));
const memoryOf = (list: Measured[]) => median(list.map(({ peakBytes }) => peakBytes));
const compared = (name: 'probe' | 'train', operationsPerToken: number) => {
  const sides = measured[name];
  return {
    tokensPerSecond: { ours: speed(sides.ours), torch: speed(sides.torch) },
    times: speed(sides.ours) / speed(sides.torch),
    cpuSecondsPerThousandTokens: { ours: cpuOf(sides.ours), torch: cpuOf(sides.torch) },
    shareOfCpu: cpuOf(sides.ours) / cpuOf(sides.torch),
    peakBytes: { ours: memoryOf(sides.ours), torch: memoryOf(sides.torch) },
    shareOfMemory: memoryOf(sides.ours) / memoryOf(sides.torch),
    shareOfMatmulPeak: (speed(sides.ours) * operationsPerToken) / peak,
    shareOfOperators: traces[name],
  };
};
const results = {
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
  settings: {
    runs,
    threads: settings.threads,
    batchSize: settings.batchSize,
    trainSteps: settings.trainSteps - 1,
  },
  matmulPeakGflops: peak / 1e9,
  startupSeconds: median(measured.startup),
  probe: compared('probe', 2 * blockParameters(model) * model.architecture.depth),
  train: compared('train', trainingOperations(model, bundle.plan)),
};
writeFileSync(settings.results, `${JSON.stringify(results, null, 2)}\n`);
print(results);
process.exit(0);

/** What both sides need, made once: the emulator of examples/crash, and the weights as a float32 checkpoint. */
async function prepare(): Promise<void> {
  const engine = await Engine.create({ provider: 'cpu', threads: settings.threads });
  await runProbe(engine, settings.build);
  await assemble(engine, settings.build);
  await engine.dispose();
  if (!existsSync(settings.torchModel)) await writeArtifact(settings.torchModel, writeFloat32);
}

/** The model as a float32 hub checkpoint, so that the peer starts from its own best format. */
function writeFloat32(directory: string): void {
  const source = openModel(settings.model);
  writeFileSync(join(directory, 'config.json'), JSON.stringify(source.config));
  writeSafetensors(
    join(directory, 'model.safetensors'),
    [...source.tensors.values()].map(({ name, shape }) => ({
      name,
      shape,
      dtype: 'F32',
      bytes: () => encodeFloats(source.read(name), 'F32'),
    })),
  );
  source.close();
}

/** Where the operators' time goes, in a run of its own: tracing costs time. */
async function tracedShares(task: 'probe' | 'train'): Promise<Record<string, number>> {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-traces-'));
  await ours(task, join(directory, 'trace'));
  const shares = operatorShares(join(directory, 'trace'));
  rmSync(directory, { recursive: true });
  return shares;
}

async function probeRows({ tokenizer }: Model): Promise<Example[]> {
  const { path, format } = settings.build.data;
  const { samples, maxLength } = settings.build.probe;
  const rows = await readRows(path, format, { limit: samples });
  return tokenize(rows, format, tokenizer, { maxLength, mode: 'train', file: path });
}

/** The rows of each step, in the order in which training takes them. */
async function trainingSteps({ tokenizer }: Model): Promise<Example[][]> {
  const file = settings.trainData;
  const rows = await readRows(file, 'multipleChoice');
  const examples = await tokenize(rows, 'multipleChoice', tokenizer, { maxLength: 128, mode: 'train', file });
  const order = new DataOrder(examples.length, 42);
  let cursor = { epoch: 0, index: 0 };
  return Array.from({ length: settings.trainSteps }, () => {
    const taken = order.take(cursor, settings.batchSize);
    cursor = taken.cursor;
    return taken.places.map((place) => examples[place]!);
  });
}

function blockParameters({ architecture }: Model): number {
  return Object.values(architecture.block(0)).reduce(
    (sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1),
    0,
  );
}

/** Per token: forward of all blocks, the gradient to the states from the lowest transfer layer on, and the trained weights'. */
function trainingOperations(of: Model, plan: Plan): number {
  const positions = plan.source.map((_, position) => position);
  const trained = positions.filter((position) => trainsAt(plan, position));
  const passes = positions.length + (positions.length - Math.min(...trained)) + trained.length;
  return 2 * blockParameters(of) * passes;
}

function print({ probe, train, startupSeconds, matmulPeakGflops }: typeof results): void {
  const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const rows = [
    ['', 'ours', 'PyTorch', 'ratio', 'of matmul peak'],
    ...[['probe', probe] as const, ['training step', train] as const].flatMap(
      ([name, { tokensPerSecond, times, cpuSecondsPerThousandTokens, shareOfCpu, ...sides }]) => [
        [
          `${name}, tokens/s`,
          tokensPerSecond.ours.toFixed(0),
          tokensPerSecond.torch.toFixed(0),
          `${times.toFixed(2)} x`,
          `${(100 * sides.shareOfMatmulPeak).toFixed(0)} %`,
        ],
        [
          `${name}, CPU seconds/1000 tokens`,
          cpuSecondsPerThousandTokens.ours.toFixed(2),
          cpuSecondsPerThousandTokens.torch.toFixed(2),
          `${shareOfCpu.toFixed(2)} x`,
          '',
        ],
        [
          `${name}, peak memory`,
          megabytes(sides.peakBytes.ours),
          megabytes(sides.peakBytes.torch),
          `${sides.shareOfMemory.toFixed(2)} x`,
          '',
        ],
      ],
    ),
    ['start to first compute', `${startupSeconds.toFixed(2)} s`, '', '', ''],
    ['matmul peak', `${matmulPeakGflops.toFixed(0)} GFLOP/s`, '', '', ''],
    ...[['probe', probe] as const, ['training step', train] as const].map(([name, { shareOfOperators }]) => [
      `${name}, largest operators`,
      ...Object.entries(shareOfOperators)
        .slice(0, 4)
        .map(([operator, share]) => `${operator} ${(100 * share).toFixed(0)} %`),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
}
