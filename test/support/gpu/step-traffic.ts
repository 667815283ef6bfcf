// What goes to a device and comes home in each of some training steps.
import { join } from 'node:path';
import { Random } from '../../../src/data/index.ts';
import type { Engine } from '../../../src/engine/index.ts';
import { Decoder, exactBlocks, openModel, weightsOf, withReplaced } from '../../../src/model/index.ts';
import { crossEntropy, gradientStep } from '../../../src/training/index.ts';
import { adapterOf } from '../../../src/tuning/index.ts';
import { trainedLayer } from '../../../src/tuning/trained.ts';
import { fixtureOf, writeCheckpoint } from '../golden/families/fixture.ts';
import { batchOf, memory } from '../golden/families/measure.ts';

/** One step's bytes by the names of inputs and outputs, beside those of the weights that train and of those that do not. */
export interface StepTraffic {
  loss: number;
  sent: Record<string, number>;
  received: Record<string, number>;
  trained: number;
  frozen: number;
}

/** Three steps of the LLaMA fixture's emulator, of which one layer trains. */
export async function trafficOf(engine: Engine, directory: string): Promise<StepTraffic[]> {
  const fixture = fixtureOf('llama');
  const path = join(directory, 'llama');
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const { architecture } = model;
  const { source, transferLayers } = fixture.emulator!;
  const blocks = exactBlocks(architecture, source);
  const layer = transferLayers.at(-1)!;
  const part = trainedLayer(model, layer, adapterOf({ type: 'layers' }), new Random(1), () => ({
    seed: 0,
    step: 0,
  }));
  const weights = withReplaced(weightsOf(model, { blocks, memory }), new Map([[layer, part.training]]));
  const decoder = new Decoder(engine, architecture, weights);
  const bytesOf = (slots: Readonly<Record<string, { shape: readonly number[] }>>) =>
    Object.values(slots).reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  const trained = bytesOf(architecture.block(layer));
  const frozen =
    blocks.reduce((sum, { slots }) => sum + bytesOf(slots), bytesOf(architecture.head)) - trained;
  const steps: StepTraffic[] = [];
  for (let step = 0; step < 3; step++) {
    engine.traffic.sent.clear();
    engine.traffic.received.clear();
    const { loss } = await gradientStep(
      decoder,
      [batchOf(fixture)],
      new Map([[layer, part.training.slots]]),
      ...([{ objective: crossEntropy, recompute: false }] as const),
    );
    const [sent, received] = [engine.traffic.sent, engine.traffic.received].map((bytes) =>
      Object.fromEntries(bytes),
    ) as [StepTraffic['sent'], StepTraffic['received']];
    steps.push({ loss, sent, received, trained, frozen });
  }
  model.close();
  return steps;
}
