// What steps of LoRA take on bundles, beside the multiplications of their graphs, and what of it products and other operators take:
// node bench/training.ts ROWS BUNDLE ...
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Engine } from '../src/engine/index.ts';
import { type GraphBuilder, product } from '../src/graph/index.ts';
import { tune } from '../src/tuning/index.ts';
import { measure } from './child.ts';
import { operatorSeconds } from './operators.ts';
import * as settings from './settings.ts';
import { tuneSpec } from './tune-spec.ts';

interface Task {
  readonly rows: string;
  readonly bundle: string;
}

/** Of each step; the first one makes the sessions. */
interface Found {
  readonly cpuSeconds: readonly number[];
  /** Multiplications with their additions, of all matrix products that ran. */
  readonly multiplications: readonly number[];
  /** By operator, of all steps together. */
  readonly operators: Readonly<Record<string, number>>;
}

const steps = 7;
/** All of them in these graphs. */
const matrixProduct = 'FusedMatMul';

/** One thread: threads that wait for each other would count. */
async function training({ rows, bundle }: Task): Promise<Found> {
  const place = mkdtempSync(join(tmpdir(), 'offsite-bench-'));
  const trace = join(place, 'trace');
  const engine = await Engine.create({ provider: 'cpu', threads: 1, trace });
  const sum = counting(engine);
  const found = { cpuSeconds: [] as number[], multiplications: [] as number[] };
  let before = { cpu: 0, multiplications: 0 };
  await tune({
    spec: tuneSpec(steps, { adapter: { type: 'lora', rank: 8, alpha: 16 } }),
    emulator: { directory: bundle },
    data: rows,
    output: join(place, 'adapter'),
    work: join(place, 'work'),
    engine,
    memory: settings.memory,
    emit({ type }) {
      if (type !== 'progress') return;
      const { user, system } = process.cpuUsage();
      const now = { cpu: (user + system) / 1e6, multiplications: sum.multiplications };
      found.cpuSeconds.push(now.cpu - before.cpu);
      found.multiplications.push(now.multiplications - before.multiplications);
      before = now;
    },
  });
  await engine.dispose();
  const operators = operatorSeconds(trace);
  rmSync(place, { recursive: true, force: true });
  return { ...found, operators };
}

/** Counts what an engine's graphs multiply from now on. */
function counting(engine: Engine): { readonly multiplications: number } {
  const sum = { multiplications: 0 };
  const counts = new Map<string, number>();
  const session = engine.session.bind(engine);
  engine.session = async (key, build) => {
    const made = await session(key, () => {
      const graph = build();
      counts.set(key, multiplicationsOf(graph));
      return graph;
    });
    const count = () => {
      sum.multiplications += counts.get(key)!;
    };
    return {
      run(...given) {
        count();
        return made.run(...given);
      },
      runHolding(...given) {
        count();
        return made.runHolding(...given);
      },
    };
  };
  return sum;
}

function multiplicationsOf({ operations }: GraphBuilder): number {
  const counts = operations
    .filter(({ operator }) => operator === matrixProduct)
    .map(({ inputs, outputs, attributes }) => {
      const { int: turned } = attributes['transA'] as { int: number };
      return product(outputs[0]!.shape) * inputs[0]!.shape.at(turned ? -2 : -1)!;
    });
  return counts.reduce((sum, count) => sum + count, 0);
}

if (process.argv[2] === 'steps') {
  console.log(JSON.stringify(await training(JSON.parse(await text(process.stdin)))));
  process.exit(0);
}

const [rows, ...bundles] = process.argv.slice(2);
const sums: { cpuSeconds: number; multiplications: number }[] = [];
for (const bundle of bundles) {
  const self = fileURLToPath(import.meta.url);
  const found = await measure<Found>(process.execPath, [self, 'steps'], { rows, bundle });
  const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  const after = (values: readonly number[]) => sumOf(values.slice(1));
  sums.push({ cpuSeconds: after(found.cpuSeconds), multiplications: after(found.multiplications) });
  const { cpuSeconds, multiplications } = sums.at(-1)!;
  const [first] = sums as [(typeof sums)[number]];
  const { [matrixProduct]: products, ...others } = found.operators;
  console.log(
    `${bundle}: ${steps - 1} steps ${cpuSeconds.toFixed(2)} s (${found.cpuSeconds.map((seconds) => seconds.toFixed(2)).join(' ')}),`,
    `${(multiplications / 1e9).toFixed(1)}e9 multiplications;`,
    `of the first ${(cpuSeconds / first.cpuSeconds).toFixed(2)} and ${(multiplications / first.multiplications).toFixed(2)};`,
    `with the first step products ${products!.toFixed(2)} s, other operators ${sumOf(Object.values(others)).toFixed(2)} s`,
  );
}
