import { type PackedBatch, Random } from '../../../src/data/index.ts';
import type { Engine } from '../../../src/engine/index.ts';
import { Decoder, type Model, weightsOf } from '../../../src/model/index.ts';
import { mergedTensors } from '../../../src/plugin/index.ts';
import { gradientStep } from '../../../src/tuning/gradient-step.ts';
import { type AdapterKind, adapterOf } from '../../../src/tuning/index.ts';
import { adamW } from '../../../src/tuning/optimiser.ts';
import { type TrainedLayer, trainedLayer } from '../../../src/tuning/trained.ts';
import { describedDifference, relative, rms } from './compare.ts';
import { type Described, type Fixture, uniform, unpacked } from './fixture.ts';
import { batchOf, memory, tokensOf } from './measure.ts';

/** The largest differences from transformers, relative to the root mean square of what is compared. */
export interface EmulatorParity extends TunedParity {
  /** Of the emulator before it is tuned. */
  logits: number;
  /** The same with PEFT's LoRA. */
  lora: TunedParity;
}

export interface TunedParity {
  /** Over the losses of five AdamW steps. */
  losses: number;
  /** Over the trained tensors' changes in five steps, by the norm; of those that PyTorch's float32 leaves open, the rest. */
  changes: number;
  /** Logits of the full model with what was trained. */
  plugIn: number;
}

interface Tuned {
  losses: number[];
  changes: Record<string, Described & { noise: number }>;
  plugIn: string;
}

const adam = { betas: [0.9, 0.999] as const, weightDecay: 0 };
const learningRate = 1e-3;

export async function measureEmulator(
  engine: Engine,
  model: Model,
  fixture: Fixture,
): Promise<EmulatorParity> {
  const { source, logits, lora, ...layers } = fixture.emulator!;
  const batch = batchOf(fixture);
  const zeroShot = new Decoder(engine, model.architecture, weightsOf(model, { layers: source, memory }));
  const tune = (kind: AdapterKind, reference: Tuned) => tuned(engine, model, fixture, kind, reference);
  const { rank, alpha } = lora;
  return {
    logits: relative(await run(zeroShot, batch, tokensOf(fixture, batch, 2)), unpacked(logits)),
    ...(await tune(adapterOf({ type: 'layers' }), layers)),
    lora: await tune(adapterOf({ type: 'lora', rank, alpha }), lora),
  };
}

/** Five steps on the transfer layers, each at its own position only, and the full model with what they came to. */
async function tuned(
  engine: Engine,
  model: Model,
  fixture: Fixture,
  kind: AdapterKind,
  reference: Tuned,
): Promise<TunedParity> {
  const { architecture } = model;
  const { source, transferLayers } = fixture.emulator!;
  const batch = batchOf(fixture);
  const positions = new Map<number, TrainedLayer>(
    transferLayers.map((layer) => [
      source.findIndex((from, at) => from === layer && at === layer),
      started(trainedLayer(model, layer, kind, new Random(1))),
    ]),
  );
  const replaced = new Map([...positions].map(([position, { weights }]) => [position, weights]));
  const decoder = new Decoder(engine, architecture, weightsOf(model, { layers: source, replaced, memory }));
  const tensors = [...positions.values()].flatMap((layer) => layer.tensors);
  const before = new Map(tensors.map(({ name, values }) => [name, values.slice()]));

  const losses: number[] = [];
  for (let step = 1; step <= reference.losses.length; step++) {
    const { slots } = [...positions.values()][0]!;
    const recompute = step % 2 === 0;
    const { loss, gradients } = await gradientStep(decoder, [batch], new Set(positions.keys()), {
      recompute,
      slots,
    });
    losses.push(loss);
    for (const [position, layer] of positions) {
      const found = layer.gradients(gradients.get(position)!);
      layer.tensors.forEach((tensor, i) => {
        adamW(tensor.values, found[i]!, tensor, step, learningRate, 1, adam);
      });
      layer.update();
    }
  }

  const names = Object.keys(reference.changes);
  const trained = tensors.map(({ name }) => name);
  if (trained.toSorted().join() !== names.toSorted().join())
    throw new Error(`${trained} were trained, not ${names}`);
  const changes = tensors.map(({ name, values }) => {
    const { noise, ...expected } = reference.changes[name]!;
    const change = values.map((value, i) => value - before.get(name)![i]!);
    const difference = describedDifference(change, expected, { most: rms });
    return noise < 1e-3 ? difference : Math.max(0, difference - 2 * noise);
  });
  const plugged = new Map<string, Float32Array>();
  for (const [position, { weights }] of positions)
    for (const [slot, { name }] of Object.entries(architecture.block(position)))
      plugged.set(name, weights[slot]!);
  const overlay = mergedTensors(model, plugged, 1);
  const full = new Decoder(engine, architecture, weightsOf(model, { overlay, memory }));
  const logits = await run(full, batch, tokensOf(fixture, batch, 2));
  return {
    losses: relative(losses, reference.losses),
    changes: Math.max(...changes),
    plugIn: relative(logits, unpacked(reference.plugIn)),
  };
}

/** The random factors of LoRA as the reference starts them. */
function started(layer: TrainedLayer): TrainedLayer {
  for (const { name, shape, values } of layer.tensors)
    if (name.includes('.lora_A.'))
      uniform(name, values.length).forEach((value, i) => {
        values[i] = value / Math.sqrt(shape[1]!);
      });
  layer.update();
  return layer;
}

/** Logits of the given tokens, forward only. */
async function run(decoder: Decoder, batch: PackedBatch, tokens: readonly number[]): Promise<Float32Array> {
  let x = await decoder.embed(batch);
  for (let position = 0; position < decoder.depth; position++)
    x = (await decoder.forward(position, x, batch)).y;
  return decoder.logits(x, tokens);
}
