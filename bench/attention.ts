// One block's forward pass on a long row, with all attention scores in memory and by tiles, each in a process of its own: node bench/attention.ts
import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { pack } from '../src/data/index.ts';
import { Engine } from '../src/engine/index.ts';
import { Decoder, exactBlocks, openModel, weightsOf } from '../src/model/index.ts';
import { measure, median } from './child.ts';
import { peakBytesOf, residentBytesOf } from './process.ts';
import * as settings from './settings.ts';

interface Task {
  readonly path: string;
  readonly length: number;
  /** Bytes of a sequence's scores from which none are in memory. */
  readonly mostScores: number;
}

interface Found {
  readonly name: string;
  readonly cpuSeconds: readonly number[];
  /** What the process takes at its peak beyond what it has before the first pass. */
  readonly moreBytes: number;
}

const rounds = Number(process.env['BENCH_RUNS'] ?? 5);

/** One thread: threads that wait for each other would count. */
async function pass({ path, length, mostScores }: Task): Promise<Found> {
  const model = openModel(path);
  const { architecture } = model;
  const weights = weightsOf(model, { memory: 2 ** 30, blocks: exactBlocks(architecture, [0]) });
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const decoder = new Decoder(engine, architecture, weights, { mostScores });
  const trunk = Array.from({ length }, (_, i) => (7919 * i) % 10_000);
  const [batch] = pack([{ row: 0, trunk, branches: [], bytes: [] }], { capacity: length, batch: 1 });
  const x = await decoder.embed(batch!);
  weights.block(0);
  const before = residentBytesOf(process.pid);
  // Linux counts the peak anew from here on.
  writeFileSync('/proc/self/clear_refs', '5');
  const cpuSeconds: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const start = process.cpuUsage();
    await decoder.forward([0], x, batch!);
    const { user, system } = process.cpuUsage(start);
    // The first round makes the session.
    if (round > 0) cpuSeconds.push((user + system) / 1e6);
  }
  return { name: architecture.family, cpuSeconds, moreBytes: peakBytesOf(process.pid) - before };
}

if (process.argv[2] === 'pass') {
  console.log(JSON.stringify(await pass(JSON.parse(await text(process.stdin)))));
  process.exit(0);
}

/** Directories of models; the benchmark's own when absent. */
const models = process.argv.length > 2 ? process.argv.slice(2) : [settings.model];
console.log(`one block, one thread, CPU seconds of a pass, medians of ${rounds}`);
for (const path of models)
  for (const length of [512, 2048])
    for (const [name, mostScores] of [
      ['all scores', Number.MAX_VALUE],
      ['by tiles', 0],
    ] as const) {
      const task: Task = { path, length, mostScores };
      const self = fileURLToPath(import.meta.url);
      const found = await measure<Found>(process.execPath, [self, 'pass'], task);
      console.log(
        `${found.name.padEnd(12)} ${String(length).padStart(5)} tokens, ${name.padEnd(11)}`,
        `${median(found.cpuSeconds).toFixed(3)} s (${found.cpuSeconds.map((seconds) => seconds.toFixed(3)).join(' ')})`,
        ` ${(found.moreBytes / 1e6).toFixed(0)} MB more`,
      );
    }
