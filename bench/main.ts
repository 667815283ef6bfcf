// Ours beside PyTorch, eager and compiled with frozen weights, and beside llama.cpp, in turns, on the same machine, model and rows:
// prints a table, writes bench/results.json. BENCH_RUNS=5; BENCH_PEERS=torch,compiled,llama: compiling takes minutes; BENCH_PYTHON,
// BENCH_LLAMA: see settings.ts.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  /** Tokens, or rows where rows are asked. */
  amount: number;
  peakBytes: number;
  /** The share of rows answered rightly, where rows are asked. */
  value?: number;
}

type Side = 'ours' | 'torch' | 'compiled' | 'llama';
type Pass = 'probe' | 'evaluate' | 'train' | 'prompt';

/** Who is measured in which pass: llama.cpp takes a row at a time, and frozen weights are for passes that train nothing. */
const sidesOf: Record<Pass, readonly Side[]> = {
  probe: ['ours', 'torch', 'compiled'],
  evaluate: ['ours', 'torch', 'compiled'],
  train: ['ours', 'torch'],
  prompt: ['ours', 'torch', 'llama'],
};
const titles: Record<Pass, string> = {
  probe: 'probe, tokens/s',
  evaluate: 'evaluation, rows/s',
  train: 'training step, tokens/s',
  prompt: `prompt of ${settings.promptTokens} tokens, tokens/s`,
};

const runs = Number(process.env['BENCH_RUNS'] ?? 5);
const python = settings.python();
const llama = settings.llama();
const peers = new Set((process.env['BENCH_PEERS'] ?? 'torch,compiled,llama').split(','));
if (llama === undefined) peers.delete('llama');
const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

await prepare();
const model = openModel(settings.model);
const bundle = openBundle(settings.emulator);
const probeRows = (await rowsOfProbe(model)).map(({ trunk }) => trunk);
const steps = await trainingSteps(model);
const jobs = {
  probe: { batch: 16, rows: probeRows },
  evaluate: { batch: 16, rows: await evaluationRows(model) },
  train: {
    source: bundle.plan.source,
    transferLayers: bundle.plan.transferLayers,
    steps: steps.map((rows) => rows.map(({ trunk, branches }) => ({ prompt: trunk, answer: branches[0] }))),
  },
  prompt: { batch: 1, rows: settings.prompts(probeRows) },
};
const amounts: Record<Pass, number> = {
  probe: lengthOf(jobs.probe.rows),
  evaluate: settings.evaluation.rows,
  train: steps
    .slice(1)
    .flat()
    .reduce((sum, { trunk, branches }) => sum + trunk.length + branches[0]!.length, 0),
  prompt: lengthOf(jobs.prompt.rows),
};

const measureOf: Record<Side, (pass: Pass) => Promise<Measured>> = {
  ours: (pass) => ours(pass, pass === 'prompt' ? { rows: jobs.prompt.rows } : {}),
  torch: (pass) => torch(pass),
  compiled: (pass) => torch(pass, { compiled: true }),
  llama: (pass) =>
    measure(process.execPath, [beside('llama_peer.ts')], {
      ...{ installed: llama, path: settings.llamaModel, threads: settings.threads },
      rows: jobs[pass as 'prompt'].rows,
    }),
};

const measured = new Map<Pass, Map<Side, Measured[]>>();
const startup: number[] = [];
const products: number[] = [];
for (let run = 0; run < runs; run++) {
  products.push((await ours<{ flops: number }>('matmul')).flops);
  startup.push((await ours('startup')).wallSeconds);
  for (const [pass, sides] of Object.entries(sidesOf) as [Pass, readonly Side[]][])
    for (const side of sides) {
      if (side !== 'ours' && !peers.has(side)) continue;
      // Compiling takes minutes each time.
      if (side === 'compiled' && run > 0) continue;
      const found = { ...(await measureOf[side](pass)), amount: amounts[pass] };
      const ofPass = measured.get(pass) ?? new Map<Side, Measured[]>();
      measured.set(pass, ofPass.set(side, [...(ofPass.get(side) ?? []), found]));
    }
  console.error(`run ${run + 1} of ${runs} done`);
}
checkAnswers();

const peak = Math.max(...products);
const operations: Partial<Record<Pass, number>> = {
  probe: 2 * blockParameters(model) * model.architecture.depth,
  train: trainingOperations(model, bundle.plan),
  prompt: 2 * blockParameters(model) * model.architecture.depth,
};
const results = {
  machine: { cpu: cpus()[0]?.model, flags: processorFlags(), cores: cpus().length, node: process.version },
  settings: {
    runs,
    threads: settings.threads,
    batchSize: settings.batchSize,
    trainSteps: settings.trainSteps - 1,
    evaluationRows: settings.evaluation.rows,
  },
  matmulPeakGflops: peak / 1e9,
  startupSeconds: median(startup),
  passes: Object.fromEntries(await Promise.all([...measured].map(compared))) as Record<
    Pass,
    Awaited<ReturnType<typeof compared>>[1]
  >,
};
writeFileSync(settings.results, `${JSON.stringify(results, null, 2)}\n`);
print(results);
process.exit(0);

/** Medians of a pass, and each peer's as what ours is of it. */
async function compared([pass, sides]: [Pass, Map<Side, Measured[]>]) {
  const speed = (list: readonly Measured[]) => median(list.map(({ amount, seconds }) => amount / seconds));
  const cpu = (list: readonly Measured[]) =>
    median(list.map(({ amount, cpuSeconds }) => cpuSeconds / amount));
  const memory = (list: readonly Measured[]) => median(list.map(({ peakBytes }) => peakBytes));
  const own = sides.get('ours')!;
  const perToken = operations[pass];
  return [
    pass,
    {
      sides: Object.fromEntries(
        [...sides].map(([side, list]) => [
          side,
          {
            perSecond: speed(list),
            cpuSecondsPerThousand: 1000 * cpu(list),
            peakBytes: memory(list),
            ...(side === 'ours'
              ? {}
              : {
                  oursInSpeed: speed(own) / speed(list),
                  oursInCpu: cpu(own) / cpu(list),
                  oursInMemory: memory(own) / memory(list),
                }),
          },
        ]),
      ) as Partial<Record<Side, SideResult>>,
      ...(perToken === undefined ? {} : { shareOfMatmulPeak: (speed(own) * perToken) / peak }),
      ...(pass === 'probe' || pass === 'train' ? { shareOfOperators: await tracedShares(pass) } : {}),
    },
  ] as const;
}

interface SideResult {
  perSecond: number;
  cpuSecondsPerThousand: number;
  peakBytes: number;
  /** What ours is of this peer's. */
  oursInSpeed?: number;
  oursInCpu?: number;
  oursInMemory?: number;
}

function ours<Result = Measured>(task: string, more: object = {}) {
  return measure<Result>(process.execPath, [beside('ours.ts')], { task, ...more });
}

function torch(pass: Pass, more: object = {}): Promise<Measured> {
  return measure<Measured>(python, [beside('torch_peer.py')], {
    ...{ model: settings.torchModel, threads: settings.threads, ...jobs[pass], ...more },
    task: pass === 'prompt' ? 'probe' : pass,
  });
}

/** Both sides ask the same questions where they find the same answers. */
function checkAnswers(): void {
  const values = [...measured.get('evaluate')!.values()].flat().map(({ value }) => value);
  if (new Set(values).size > 1) throw new Error(`the sides answer otherwise: ${values.join(', ')}`);
}

/** What of the processor matrix products hang on. */
function processorFlags(): string[] {
  const line = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  return line.split(' ').filter((flag) => /^(avx|fma|f16c|amx)/.test(flag));
}

function lengthOf(rows: readonly (readonly number[])[]): number {
  return rows.reduce((sum, { length }) => sum + length, 0);
}

/** What all sides need, made once: the emulator of examples/crash, and the weights as a float32 checkpoint. */
async function prepare(): Promise<void> {
  const engine = await Engine.create({ provider: 'cpu', threads: settings.threads });
  await runProbe(engine, settings.build);
  await assemble(engine, settings.build);
  await engine.dispose();
  if (!existsSync(settings.torchModel)) await writeArtifact(settings.torchModel, writeFloat32);
  if (llama !== undefined && !existsSync(settings.llamaModel))
    execFileSync(python, [beside('llama_gguf.py'), settings.torchModel, settings.llamaModel]);
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
  await ours(task, { trace: join(directory, 'trace') });
  const shares = operatorShares(join(directory, 'trace'));
  rmSync(directory, { recursive: true });
  return shares;
}

async function rowsOfProbe({ tokenizer }: Model): Promise<Example[]> {
  const { path, format } = settings.build.data;
  const { samples, maxLength } = settings.build.probe;
  const rows = await readRows(path, format, { limit: samples });
  return tokenize(rows, format, tokenizer, { maxLength, mode: 'train', file: path });
}

/** Questions, each with its choices, in token ids. */
async function evaluationRows({ tokenizer }: Model) {
  const { path, format, rows: limit, maxLength } = settings.evaluation;
  const rows = await readRows(path, format, { limit });
  const examples = await tokenize(rows, format, tokenizer, { maxLength, mode: 'score', file: path });
  return examples.map(({ trunk, branches, answer }) => ({ prompt: trunk, choices: branches, answer }));
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

function print({ passes, startupSeconds, matmulPeakGflops, machine }: typeof results): void {
  const names: Record<Side, string> = {
    ours: 'ours',
    torch: 'PyTorch',
    compiled: 'PyTorch, compiled',
    llama: 'llama.cpp',
  };
  const times = (ratio: number | undefined) => (ratio === undefined ? '' : `${ratio.toFixed(2)} x`);
  const rows = [['', '', 'per second', 'CPU s/1000', 'peak MiB', 'ours in speed', 'in CPU', 'in memory']];
  for (const [pass, { sides, shareOfMatmulPeak }] of Object.entries(passes) as [
    Pass,
    (typeof passes)[Pass],
  ][])
    for (const [side, found] of Object.entries(sides) as [Side, SideResult][])
      rows.push([
        side === 'ours' ? titles[pass] : '',
        names[side],
        found.perSecond.toFixed(found.perSecond < 20 ? 2 : 0),
        found.cpuSecondsPerThousand.toFixed(2),
        `${Math.round(found.peakBytes / 2 ** 20)}`,
        side === 'ours' && shareOfMatmulPeak !== undefined
          ? `${(100 * shareOfMatmulPeak).toFixed(0)} % of matmul peak`
          : times(found.oursInSpeed),
        times(found.oursInCpu),
        times(found.oursInMemory),
      ]);
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    );
  for (const [pass, { shareOfOperators }] of Object.entries(passes) as [Pass, (typeof passes)[Pass]][]) {
    if (shareOfOperators === undefined) continue;
    const largest = Object.entries(shareOfOperators).slice(0, 4);
    const shares = largest.map(([operator, share]) => `${operator} ${(100 * share).toFixed(0)} %`);
    console.log(`${titles[pass]}, time of operators: ${shares.join(', ')}`);
  }
  console.log(
    `start to first compute ${startupSeconds.toFixed(2)} s; matmul peak ${matmulPeakGflops.toFixed(0)} GFLOP/s`,
  );
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.flags.join(' ')}`);
}
