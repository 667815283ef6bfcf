// Pooled states by an engine beside the CPU's, and what came home for them.
import { join } from 'node:path';
import { pack } from '../../../src/data/index.ts';
import { probe } from '../../../src/emulator/probe/probe.ts';
import { Engine } from '../../../src/engine/index.ts';
import { Decoder, openModel, weightsOf } from '../../../src/model/index.ts';
import { relative } from '../golden/families/compare.ts';
import { fixtureOf, writeCheckpoint } from '../golden/families/fixture.ts';
import { memory } from '../golden/families/measure.ts';

export interface Probed {
  pooling: string;
  /** The largest of all layers' vectors, relative to their root mean square. */
  difference: number;
  /** Bytes that came home, by the names of the outputs. */
  received: Record<string, number>;
  /** Batches, all of one shape; blocks of the model; bytes of one batch's states, and of one row's vector. */
  sizes: { batches: number; depth: number; states: number; vector: number };
}

/** Some rows of the LLaMA fixture's model, packed with padding behind them. */
export async function probesBeside(engine: Engine, directory: string): Promise<Probed[]> {
  const fixture = fixtureOf('llama');
  const path = join(directory, 'llama');
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const cpu = await Engine.create({ provider: 'cpu', threads: 1 });
  const examples = Array.from({ length: 5 }, (_, row) => ({
    ...{ row, branches: [], bytes: [] },
    trunk: Array.from({ length: 7 + row }, (_, i) => (31 * row + 17 * i) % model.architecture.vocabulary),
  }));
  const batches = pack(examples, { capacity: 16, batch: 2 });
  const probed = (on: Engine, pooling: 'mean' | 'meanWeighted' | 'last' | 'first' | 'max') =>
    probe(new Decoder(on, model.architecture, weightsOf(model, { memory })), batches, {
      ...{ pooling, skipFirst: true, memory, progress: () => {} },
    });
  const found: Probed[] = [];
  for (const pooling of ['mean', 'meanWeighted', 'last', 'first', 'max'] as const) {
    engine.traffic.received.clear();
    const [there, here] = [await probed(engine, pooling), await probed(cpu, pooling)];
    const { hidden, depth } = model.architecture;
    const { size, length } = batches[0]!;
    found.push({
      pooling,
      difference: Math.max(...there.layers.map((layer, i) => relative(layer, here.layers[i]!))),
      received: Object.fromEntries(engine.traffic.received),
      sizes: { batches: batches.length, depth, states: 4 * size * length * hidden, vector: 4 * hidden },
    });
  }
  model.close();
  await cpu.dispose();
  return found;
}
