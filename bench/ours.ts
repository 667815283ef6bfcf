// One measurement of this project in a process of its own: job as JSON on standard input, result as a line of JSON.
import { rmSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { checkpointsOf } from '../src/artifact/index.ts';
import { pack, readRows, tokenize } from '../src/data/index.ts';
import { probe } from '../src/emulator/probe/probe.ts';
import { Engine } from '../src/engine/index.ts';
import { holdingLatest, loadTask, measure, packForModel } from '../src/evaluation/index.ts';
import { GraphBuilder } from '../src/graph/index.ts';
import { Decoder, openModel, weightsOf } from '../src/model/index.ts';
import { tune } from '../src/tuning/index.ts';
import * as settings from './settings.ts';
import { tuneSpec } from './tune-spec.ts';

const seconds = () => performance.now() / 1000;
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const { task, trace, rows } = JSON.parse(await text(process.stdin)) as {
  task: string;
  trace?: string;
  rows?: number[][];
};
const engine = await Engine.create({ provider: 'cpu', threads: settings.threads, trace });

const tasks: Record<string, () => Promise<Record<string, number>>> = {
  /** The probe pass of examples/crash, weights streamed from the checkpoint. */
  async probe() {
    const { decoder, batches } = await openProbe(settings.build.probe.samples);
    for (const batch of new Map(batches.map((batch) => [batch.size, batch])).values())
      await decoder.forward([0], await decoder.embed(batch), batch);
    const [start, cpu] = [seconds(), cpuSeconds()];
    const { pooling, skipFirst } = settings.build.probe;
    await probe(decoder, batches, { pooling, skipFirst, memory: settings.memory / 2, progress: () => {} });
    return {
      tokens: batches.reduce((sum, { tokens }) => sum + tokens, 0),
      seconds: seconds() - start,
      cpuSeconds: cpuSeconds() - cpu,
    };
  },

  /** All blocks on one long row at a time. */
  async prompt() {
    const model = openModel(settings.model);
    const length = settings.promptTokens;
    const examples = rows!.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
    const batches = pack(examples, { capacity: length, batch: 1 });
    const decoder = new Decoder(engine, model.architecture, holdingLatest(weightsOf(model, { memory: 0 })));
    const options = {
      pooling: 'mean',
      skipFirst: false,
      memory: settings.memory / 2,
      progress: () => {},
    } as const;
    await probe(decoder, batches.slice(0, 1), options);
    const [start, cpu] = [seconds(), cpuSeconds()];
    await probe(decoder, batches, options);
    return { seconds: seconds() - start, cpuSeconds: cpuSeconds() - cpu };
  },

  /** The full model's untuned cell on rows of examples/crash's PlugIn: the likelihood of each choice. */
  async evaluate() {
    const model = openModel(settings.model);
    const { path, format, rows, maxLength } = settings.evaluation;
    const options = { memory: settings.memory, stage: 'evaluate', emit: () => {} };
    const decoder = new Decoder(engine, model.architecture, holdingLatest(weightsOf(model, { memory: 0 })));
    const task = (limit: number) =>
      loadTask(model, engine, { ...options, name: 'words', path, format, maxLength, limit });
    await measure(decoder, await task(4), options);
    const measured = await task(rows);
    const [start, cpu] = [seconds(), cpuSeconds()];
    const { cell } = await measure(decoder, measured, options);
    return { rows, value: cell.value, seconds: seconds() - start, cpuSeconds: cpuSeconds() - cpu };
  },

  /** Optimiser steps of examples/crash's training; the first one warms up. */
  async train() {
    for (const path of [settings.adapter, checkpointsOf(settings.work)])
      rmSync(path, { recursive: true, force: true });
    const ends: { seconds: number; cpu: number }[] = [];
    await tune({
      spec: tuneSpec(settings.trainSteps),
      emulator: { directory: settings.emulator },
      data: settings.trainData,
      output: settings.adapter,
      work: settings.work,
      engine,
      memory: settings.memory,
      emit: (event) => {
        if (event.type === 'progress') ends.push({ seconds: seconds(), cpu: cpuSeconds() });
      },
    });
    if (ends.length !== settings.trainSteps)
      throw new Error(`${ends.length} of ${settings.trainSteps} steps told of their end`);
    const [first, last] = [ends[0]!, ends.at(-1)!];
    return { seconds: last.seconds - first.seconds, cpuSeconds: last.cpu - first.cpu };
  },

  /** From the start of the process to the first block computed. */
  async startup() {
    const { decoder, batches } = await openProbe(2);
    await decoder.forward([0], await decoder.embed(batches[0]!), batches[0]!);
    return { seconds: seconds() };
  },

  /** The matrix product that this machine does fastest, in operations per second. */
  async matmul() {
    const size = 1536;
    const g = new GraphBuilder();
    const [a, b] = ['a', 'b'].map((name) => g.input(name, 'float32', [size, size]));
    g.output('y', g.matmul(a!, b!));
    const session = await engine.session('matmul', () => g);
    const tensor = {
      dtype: 'float32' as const,
      shape: [size, size],
      data: new Float32Array(size * size).fill(0.5),
    };
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < 10; run++) {
      const start = seconds();
      await session.run({ a: tensor, b: tensor });
      best = Math.min(best, seconds() - start);
    }
    return { flops: (2 * size ** 3) / best };
  },
};

async function openProbe(samples: number) {
  const model = openModel(settings.model);
  const { path, format } = settings.build.data;
  const rows = await readRows(path, format, { limit: samples });
  const options = { maxLength: settings.build.probe.maxLength, mode: 'train', file: path } as const;
  const examples = await tokenize(rows, format, model.tokenizer, options);
  const batches = packForModel(examples, model.architecture, { memory: 2 ** 32 });
  const decoder = new Decoder(engine, model.architecture, holdingLatest(weightsOf(model, { memory: 0 })));
  return { decoder, batches };
}

const result = await tasks[task]!();
await engine.dispose();
console.log(JSON.stringify({ ...result, peakBytes: process.resourceUsage().maxRSS * 1024 }));
process.exit(0);
