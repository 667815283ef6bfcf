// One provider on this machine's device, in a process of its own: a line of JSON for each part that is done.
// node measure.ts PROVIDER SIZE MODEL-DIRECTORY DEADLINE(ms since 1970) VARIANT...
import { join } from 'node:path';
import { OffsiteError } from '../../src/api/index.ts';
import { Random } from '../../src/data/index.ts';
import { probe } from '../../src/emulator/probe/probe.ts';
import { Engine, type EngineOptions, type Tensor } from '../../src/engine/index.ts';
import { GraphBuilder } from '../../src/graph/index.ts';
import { Decoder, exactBlocks, openModel, weightsOf, withReplaced } from '../../src/model/index.ts';
import { adamW, crossEntropy, gradientStep } from '../../src/training/index.ts';
import { adapterOf } from '../../src/tuning/index.ts';
import { trainedLayer } from '../../src/tuning/trained.ts';
import { fixtureOf, writeCheckpoint } from '../../test/support/golden/families/fixture.ts';
import { measure } from '../../test/support/golden/families/measure.ts';
import type { Half, Part, Speed } from './report.ts';
import { batchesOf, learningRate, rowsOf, type Size, seeds, sizes, sourceOf } from './sizes.ts';

const [provider, sizeName, directory, deadline, ...variants] = process.argv.slice(2) as [
  EngineOptions['provider'],
  keyof typeof sizes,
  string,
  string,
  ...string[],
];
const size: Size = sizes[sizeName];
const memory = 8 * 2 ** 30;
const halves = { cpu: [], webgpu: ['float16'], cuda: ['bfloat16', 'float16'] } as const;
const tell = (part: Part) => console.log(JSON.stringify(part));
const seconds = () => performance.now() / 1000;

const engine = await opened();
tell({ part: 'matrix', flops: await matrixPeak() });
tell({ part: 'probe', ...(await probeSpeed(engine)) });
tell({ part: 'train', ...(await trainingSpeed()) });
await engine.dispose();
for (const precision of halves[provider]) tell({ part: 'half', precision, ...(await halfOf(precision)) });
for (const variant of variants) {
  if (Date.now() > Number(deadline)) break;
  tell({ part: 'parity', variant, ...(await parityOf(variant)) });
}
// The device's own threads would keep the process.
process.exit();

/** Half precision: a probe's speed, and the first fixture beside transformers' float32; why there is none, where there is none. */
async function halfOf(precision: Half['precision']): Promise<Omit<Half, 'precision'>> {
  try {
    const own = await Engine.create({ provider, precision, threads: 4, memory });
    const probe = await probeSpeed(own);
    await own.dispose();
    return { probe, ...(await parityOf(variants[0]!, precision)) };
  } catch (error) {
    if (!(error instanceof OffsiteError)) throw error;
    return { missing: error.message };
  }
}

/** What cannot start says so, and the check goes on without it. */
async function opened(): Promise<Engine> {
  try {
    return await Engine.create({ provider, threads: 4, memory });
  } catch (error) {
    if (!(error instanceof OffsiteError)) throw error;
    tell({ part: 'missing', reason: error.message });
    process.exit();
  }
}

/** What the provider's own product reaches, operations per second: square products that follow each other, and one number home. */
async function matrixPeak(): Promise<number> {
  const { side, count } = size.matrix;
  const g = new GraphBuilder();
  const [first, w] = ['x', 'w'].map((name) => g.input(name, 'float32', [side, side]));
  let x = first!;
  for (let i = 0; i < count; i++) x = g.matmul(x, w!);
  g.output('sum', g.reduceSum(x, [0, 1]));
  const session = await engine.session('matrix', () => g);
  const tensor: Tensor = {
    dtype: 'float32',
    shape: [side, side],
    data: new Float32Array(side * side).fill(1 / side),
  };
  const feeds = { x: await engine.hold(tensor), w: await engine.hold(tensor) };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 5; run++) {
    const start = seconds();
    const { sum } = await session.run(feeds);
    best = Math.min(best, seconds() - start);
    if (!(Math.abs((sum!.data[0] as number) / side - 1) < 1e-3)) throw new Error('the product is wrong');
  }
  return (2 * count * side ** 3) / best;
}

/** The product's own probe: pooled states of every block. The first pass makes sessions. */
async function probeSpeed(engine: Engine): Promise<Speed> {
  const model = openModel(directory);
  const { batches: count, rows } = size.probe;
  const batches = batchesOf(rowsOf(size, count * rows, seeds.probe), rows);
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory }));
  const options = { pooling: 'mean', skipFirst: true, memory, progress: () => {} } as const;
  await probe(decoder, batches.slice(0, 1), options);
  const start = seconds();
  await probe(decoder, batches, options);
  const taken = seconds() - start;
  model.close();
  return { tokens: count * rows * size.length, seconds: taken };
}

/** Steps of AdamW on the transfer layers of an emulator; the first one makes sessions, and is not counted. */
async function trainingSpeed() {
  const model = openModel(directory);
  const { architecture } = model;
  const { count, rows } = size.steps;
  const blocks = exactBlocks(architecture, sourceOf(size));
  const adapter = adapterOf({ type: 'layers' });
  const parts = new Map(
    size.trained.map((layer) => [
      sourceOf(size).indexOf(layer),
      trainedLayer(model, layer, adapter, new Random(1), () => ({ seed: 0, step: 0 })),
    ]),
  );
  const training = new Map([...parts].map(([place, part]) => [place, part.training]));
  const trained = new Map([...training].map(([place, { slots }]) => [place, slots]));
  const decoder = new Decoder(
    engine,
    architecture,
    withReplaced(weightsOf(model, { blocks, memory }), training),
  );
  const losses: number[] = [];
  let bytes = { sent: 0, received: 0 };
  let taken = 0;
  for (let step = 0; step < count; step++) {
    const batches = batchesOf(rowsOf(size, rows, seeds.train + step), rows);
    engine.traffic.sent.clear();
    engine.traffic.received.clear();
    const start = seconds();
    const { loss, gradients } = await gradientStep(decoder, batches, trained, {
      objective: crossEntropy,
      recompute: false,
    });
    for (const [place, part] of parts) {
      const found = part.training.gradients(gradients.get(place)!);
      part.tensors.forEach((tensor, i) => {
        adamW(tensor.values, found[i]!, tensor, step + 1, learningRate, 1, {
          betas: [0.9, 0.999],
          weightDecay: 0,
        });
      });
      part.training.update();
    }
    if (step > 0) taken += seconds() - start;
    for (const batch of batches) decoder.forget(batch);
    bytes = { sent: sumOf(engine.traffic.sent), received: sumOf(engine.traffic.received) };
    losses.push(loss);
  }
  model.close();
  return {
    tokens: (count - 1) * rows * size.length,
    seconds: taken,
    losses,
    bytes,
  };
}

/** One fixture beside transformers' values; a session's shapes are its own, so it has an engine of its own. */
async function parityOf(variant: string, precision?: Half['precision']) {
  const fixture = fixtureOf(variant);
  const path = join(directory, variant);
  writeCheckpoint(path, fixture);
  const own = await Engine.create({ provider, precision, threads: 1 });
  const model = openModel(path);
  const { logits, loss, gradients } = await measure(own, model, fixture);
  model.close();
  await own.dispose();
  return { difference: Math.max(logits, loss, gradients) };
}

function sumOf(bytes: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of bytes.values()) sum += count;
  return sum;
}
