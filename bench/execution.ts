// A block at a time beside several at once, on the CPU, in turns: CPU seconds of a forward pass and of a training step. node bench/execution.ts
import { readRows, tokenize } from '../src/data/index.ts';
import { Engine } from '../src/engine/index.ts';
import { packForModel } from '../src/evaluation/index.ts';
import { Decoder, openModel, weightsOf } from '../src/model/index.ts';
import { crossEntropy, gradientStep } from '../src/training/index.ts';
import { median } from './child.ts';
import * as settings from './settings.ts';

const rounds = Number(process.env['BENCH_RUNS'] ?? 5);
const MiB = 2 ** 20;
const model = openModel(settings.model);
const { path, format } = settings.build.data;
const rows = await readRows(path, format, { limit: 16 });
const examples = await tokenize(rows, format, model.tokenizer, { maxLength: 128, mode: 'train', file: path });
const [batch] = packForModel(examples, model.architecture, { memory: 2 ** 32 });
const weights = weightsOf(model, { memory: 2 ** 30 });
const last = weights.depth - 1;

const sides = await Promise.all(
  [0, 64 * MiB, 1024 * MiB].map(async (spanMemory) => {
    const engine = await Engine.create({ provider: 'cpu', threads: settings.threads });
    const decoder = new Decoder(engine, model.architecture, weights, { spanMemory });
    return { decoder, forward: [] as number[], step: [] as number[], name: `${spanMemory / MiB} MiB` };
  }),
);

const cpuSeconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
};

// The first round makes sessions and reads weights.
for (let round = 0; round <= rounds; round++)
  for (const { decoder, forward, step } of sides) {
    const pass = await cpuSeconds(async () => {
      let x = await decoder.embed(batch!);
      for (const span of decoder.spans()) x = await decoder.forward(span, x, batch!);
    });
    const gradients = await cpuSeconds(() =>
      gradientStep(decoder, [batch!], new Map([[last, true as const]]), {
        objective: crossEntropy,
        recompute: false,
      }),
    );
    if (round === 0) continue;
    forward.push(pass);
    step.push(gradients);
  }

console.log(`${batch!.tokens} tokens, ${settings.threads} threads, CPU seconds, medians of ${rounds}`);
for (const { name, decoder, forward, step } of sides)
  console.log(
    `spans of ${name.padEnd(8)} (${decoder.spans().length})`.padEnd(28),
    `forward ${median(forward).toFixed(2)}  step ${median(step).toFixed(2)}`,
  );
process.exit(0);
