// A forward-only pass whose blocks' weights are given to each run, beside a session for each block and shape of batches that stores
// them, and beside one for each block's full batches alone; in turns block by block, one thread, CPU seconds:
// node bench/stored.ts probe | evaluate [ROWS]. One of them alone, with its peak memory:
// node bench/stored.ts probe | evaluate ROWS given | stored | full
import { cpus } from 'node:os';
import { type PackedBatch, readRows, tokenize } from '../src/data/index.ts';
import { poolRows } from '../src/emulator/probe/pooling.ts';
import { Engine, type Tensor } from '../src/engine/index.ts';
import { holdingLatest, loadTask, packForModel } from '../src/evaluation/index.ts';
import { BlockGraphs } from '../src/model/block-graphs.ts';
import { Decoder, openModel, score, weightsOf } from '../src/model/index.ts';
import { median } from './child.ts';
import * as settings from './settings.ts';

const names = ['given', 'stored', 'full'] as const;
const [pass = 'probe', limit = pass === 'probe' ? '512' : '500', alone] = process.argv.slice(2);
const model = openModel(settings.model);
const { architecture } = model;
const { build, evaluation } = settings;
// Threads that wait for each other would count.
const threads = 1;
const engine = await Engine.create({ provider: 'cpu', threads });
const batches = pass === 'probe' ? await probeBatches() : await questionBatches();
const [{ size: fullSize }] = batches as [PackedBatch];

async function probeBatches(): Promise<PackedBatch[]> {
  const { path, format } = build.data;
  const rows = await readRows(path, format, { limit: Number(limit) });
  const options = { maxLength: build.probe.maxLength, mode: 'train', file: path } as const;
  const examples = await tokenize(rows, format, model.tokenizer, options);
  return packForModel(examples, architecture, { memory: 2 ** 32 });
}

async function questionBatches(): Promise<PackedBatch[]> {
  const { path, format, maxLength } = evaluation;
  const options = { memory: settings.memory, stage: 'evaluate', emit: () => {} };
  const task = { ...options, name: 'words', path, format, maxLength, limit: Number(limit) };
  return [...(await loadTask(model, engine, task)).batches];
}

/** One way through the blocks, with sessions and weights of its own. */
async function opened(name: (typeof names)[number]) {
  const weights = holdingLatest(weightsOf(model, { memory: 0 }));
  const graphs = new BlockGraphs(architecture, weights, undefined);
  // Runs on the CPU, with weights in its sessions: those of one session at a time.
  const storing = await Engine.create({ provider: 'cpu', threads, standsFor: 'cuda', stored: 1 });
  const decoder = new Decoder(engine, architecture, weights);
  const states: Tensor[] = [];
  for (const batch of batches) states.push((await decoder.embed(batch)) as Tensor);
  const sides = batches.map((batch) => architecture.side(batch, ''));
  const forward = async (position: number, i: number): Promise<Tensor> => {
    const batch = batches[i]!;
    const slots = weights.slots(position);
    const read = () => {
      const found = weights.block(position);
      return Object.fromEntries(
        Object.entries(slots).map(([slot, { shape }]): [string, Tensor] => [
          `w.${slot}`,
          { dtype: 'float32', shape, data: found[slot]! },
        ]),
      );
    };
    const inputs = new Set(Object.keys(slots).map((slot) => `w.${slot}`));
    const stores = name === 'stored' || (name === 'full' && batch.size === fullSize);
    const session = await (stores ? storing : engine).session(
      graphs.key('forward', [position], batch),
      () => graphs.forward([position], batch),
      { name: `${position}`, inputs, read },
    );
    const { held } = await session.runHolding({ x: states[i]!, ...sides[i], ...(stores ? {} : read()) });
    return held['y'] as Tensor;
  };
  return {
    name,
    seconds: [] as number[],
    /** A block on all batches. */
    async block(position: number) {
      for (const [i, { rows }] of batches.entries()) {
        states[i] = await forward(position, i);
        if (pass !== 'probe') continue;
        poolRows(states[i].data as Float32Array, architecture.hidden, rows, build.probe);
      }
    },
    /** What comes after the last block, the same in all ways. */
    async end() {
      if (pass !== 'evaluate') return;
      for (const [i, { targets }] of batches.entries()) await decoder.head(states[i]!, targets, score);
    },
  };
}

async function cpuSeconds(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const shapes = Map.groupBy(batches, ({ size, length }) => `${size}x${length}`);
console.log(
  `${cpus()[0]?.model}, ${pass} of ${limit} rows:`,
  [...shapes].map(([shape, { length }]) => `${length} of ${shape}`).join(', '),
);
const ways = await Promise.all(names.filter((name) => name === (alone ?? name)).map(opened));
for (let position = 0; position < architecture.depth; position++)
  for (let turn = 0; turn < ways.length; turn++) {
    const way = ways[(position + turn) % ways.length]!;
    way.seconds.push(await cpuSeconds(() => way.block(position)));
  }
const end = await cpuSeconds(() => ways[0]!.end());
for (const { name, seconds } of ways) {
  const sum = (own: readonly number[]) => own.reduce((total, block) => total + block, end);
  const ratio = sum(seconds) / sum(ways[0]!.seconds);
  const shown = `${name.padEnd(6)} ${sum(seconds).toFixed(1)} s, of a block ${median(seconds).toFixed(3)}`;
  console.log(ways.length > 1 ? `${shown}; ${ratio.toFixed(2)} times ${ways[0]!.name}` : shown);
}
console.log(
  `behind the blocks ${end.toFixed(1)} s; peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
);
process.exit(0);
