import { type PackedBatch, Random } from '../../../../src/data/index.ts';
import type { Engine } from '../../../../src/engine/index.ts';
import {
  Decoder,
  type DecoderOptions,
  exactBlocks,
  headGradient,
  type Model,
  type Overlay,
  type Site,
  type WeightSource,
  weightsOf,
  withReplaced,
} from '../../../../src/model/index.ts';
import { mergedTensors } from '../../../../src/plugin/merge.ts';
import { gradientStep } from '../../../../src/training/gradient-step.ts';
import { crossEntropy } from '../../../../src/training/objective.ts';
import { adamW } from '../../../../src/training/optimiser.ts';
import { type AdapterKind, adapterOf } from '../../../../src/tuning/index.ts';
import {
  type TrainedPart,
  trainedBeside,
  trainedHead,
  trainedLayer,
} from '../../../../src/tuning/trained.ts';
import { describedDifference, relative, rms } from './compare.ts';
import { type Fixture, type Tuned, uniform, unpacked } from './fixture.ts';
import { batchOf, logitsAt, memory, tokensOf } from './measure.ts';

/** The largest differences from transformers, relative to the root mean square of what is compared. */
export interface EmulatorParity extends TunedParity {
  /** Of the emulator before it is tuned. */
  logits: number;
  /** The same with PEFT's LoRA, with dropout, with the head beside it, and with bottlenecks. */
  lora: TunedParity;
  dropout: TunedParity;
  /** The first two beside the layers' maps, as where those are not the model's own. */
  beside: TunedParity;
  droppedBeside: TunedParity;
  head: TunedParity;
  bottleneck: TunedParity;
}

export interface TunedParity {
  /** Over the losses of five AdamW steps. */
  losses: number;
  /** Over the trained tensors' changes in five steps, by the norm; of those that PyTorch's float32 leaves open, the rest. */
  changes: number;
  /** Logits of the full model with what was trained. */
  plugIn: number;
}

const adam = { betas: [0.9, 0.999] as const, weightDecay: 0 };
const learningRate = 1e-3;

export async function measureEmulator(
  engine: Engine,
  model: Model,
  fixture: Fixture,
  decoder: DecoderOptions = {},
): Promise<EmulatorParity> {
  const { source, logits, lora, dropout, head, bottleneck, ...layers } = fixture.emulator!;
  const batch = batchOf(fixture);
  const zeroShot = new Decoder(
    engine,
    model.architecture,
    weightsOf(model, { blocks: exactBlocks(model.architecture, source), memory }),
    decoder,
  );
  const tune = (kind: AdapterKind, reference: Tuned, options: Partial<TuneOptions> = {}) =>
    tuned(engine, model, fixture, kind, reference, { ...options, decoder });
  const { rank, alpha } = lora;
  const plain = adapterOf({ type: 'lora', rank, alpha });
  const dropped = adapterOf({ type: 'lora', rank, alpha, dropout: String(dropout.rate) });
  const { seed } = dropout;
  return {
    logits: relative(await run(zeroShot, batch, tokensOf(fixture, batch, 2)), unpacked(logits)),
    ...(await tune(adapterOf({ type: 'layers' }), layers)),
    lora: await tune(plain, lora),
    dropout: await tune(dropped, dropout, { seed }),
    beside: await tune(plain, lora, { beside: true }),
    droppedBeside: await tune(dropped, dropout, { seed, beside: true }),
    head: await tune(adapterOf({ type: 'lora', rank, alpha, head: true }), head),
    bottleneck: await tune(adapterOf({ type: 'bottleneck', size: bottleneck.size }), bottleneck),
  };
}

/** What of a fixture says which rows train where. */
type TunedFixture = Pick<Fixture, 'rows'> & {
  emulator?: Pick<NonNullable<Fixture['emulator']>, 'source' | 'transferLayers'>;
};

interface TuneOptions {
  /** Of dropout. */
  seed: number;
  /** Whether the adapter sits beside the maps, whatever they are. */
  beside: boolean;
  /** The trained layers; the fixture's transfer layers when absent. */
  layers: readonly number[];
  /** The emulator's; the model's own when absent. */
  weights: WeightSource;
  /** How many blocks run at once. */
  decoder: DecoderOptions;
}

/** Five steps on the trained layers, each at its own position only, and the full model with what they came to. */
export async function tuned(
  engine: Engine,
  model: Model,
  fixture: TunedFixture,
  kind: AdapterKind,
  reference: Tuned,
  options: Partial<TuneOptions>,
): Promise<TunedParity> {
  const { architecture } = model;
  const { source, transferLayers } = fixture.emulator!;
  const {
    seed = 0,
    beside = false,
    layers = transferLayers,
    weights = weightsOf(model, { blocks: exactBlocks(architecture, source), memory }),
  } = options;
  const batch = batchOf(fixture);
  let step = 0;
  const now = () => ({ seed, step });
  const parts = new Map<Site, TrainedPart>(
    layers.map((layer) => [
      source.findIndex((from, at) => from === layer && at === layer),
      started(
        (beside ? trainedBeside : trainedLayer)(model, layer, kind, new Random(1), now),
        architecture.hidden,
      ),
    ]),
  );
  const trained = new Map([...parts].map(([place, { training }]) => [place as number, training.slots]));
  if (kind.head) parts.set('head', trainedHead(model, kind.head, new Random(1)));
  const head = kind.head && { head: headGradient(parts.get('head')!.tensors[0]!.values.length) };
  const replaced = new Map([...parts].map(([place, { training }]) => [place, training]));
  const decoder = new Decoder(engine, architecture, withReplaced(weights, replaced), options.decoder);
  const tensors = [...parts.values()].flatMap((part) => part.tensors);
  const before = new Map(tensors.map(({ name, values }) => [name, values.slice()]));

  const losses: number[] = [];
  for (; step < reference.losses.length; step++) {
    const recompute = step % 2 === 1;
    const { loss, gradients } = await gradientStep(decoder, [batch], trained, {
      objective: crossEntropy,
      recompute,
      ...head,
    });
    losses.push(loss);
    for (const [place, part] of parts) {
      const found = part.training.gradients(gradients.get(place)!);
      part.tensors.forEach((tensor, i) => {
        adamW(tensor.values, found[i]!, tensor, step + 1, learningRate, 1, adam);
      });
      part.training.update();
    }
  }

  const names = Object.keys(reference.changes);
  const found = tensors.map(({ name }) => name);
  if (found.toSorted().join() !== names.toSorted().join())
    throw new Error(`${found} were trained, not ${names}`);
  const changes = tensors.map(({ name, values }) => {
    const { noise, ...expected } = reference.changes[name]!;
    const change = values.map((value, i) => value - before.get(name)![i]!);
    const difference = describedDifference(change, expected, { most: rms });
    return noise < 1e-3 ? difference : Math.max(0, difference - 2 * noise);
  });
  const overlay = mergedTensors(model, beside ? mergedOf(model, kind, parts) : overlayOf(model, parts), 1);
  const full = new Decoder(engine, architecture, weightsOf(model, { overlay, memory }), options.decoder);
  const logits = await run(full, batch, tokensOf(fixture, batch, 2));
  return {
    losses: relative(losses, reference.losses),
    changes: Math.max(...changes),
    plugIn: relative(logits, unpacked(reference.plugIn)),
  };
}

/** What the parts come to, by the names of the plugged-in model. */
function overlayOf({ architecture }: Model, parts: ReadonlyMap<Site, TrainedPart>): Overlay {
  const plugged = new Map<string, Float32Array>();
  for (const [place, { evaluated }] of parts) {
    evaluated.update();
    const slots = place === 'head' ? architecture.head : architecture.block(place);
    for (const [slot, { name, untied = name }] of Object.entries({ ...slots, ...evaluated.inserted }))
      plugged.set(untied, evaluated.weights[slot]!);
  }
  return {
    get: (name) => plugged.get(name),
    has: (name) => plugged.has(name),
    inserted: (layer) => parts.get(layer)?.evaluated.inserted ?? {},
  };
}

/** What came of training beside the maps, in the model's own weights. */
function mergedOf(
  { architecture, read }: Model,
  kind: AdapterKind,
  parts: ReadonlyMap<Site, TrainedPart>,
): Overlay {
  const plugged = new Map<string, Float32Array>();
  for (const [layer, { tensors }] of parts) {
    const values = new Map(tensors.map((tensor) => [tensor.name, tensor.values]));
    for (const change of kind.changes(architecture, layer as number))
      plugged.set(
        change.name,
        change.weight(
          change.tensors.map(({ name }) => values.get(name)!),
          read(change.name),
        ),
      );
  }
  return plugged;
}

/** What starts by chance, as the reference starts it. */
function started(layer: TrainedPart, hidden: number): TrainedPart {
  for (const { name, shape, values } of layer.tensors) {
    const width = name.includes('.lora_A.') ? shape[1]! : hidden;
    if (/\.(lora_A|adapter\.fc1)\./.test(name))
      uniform(name, values.length).forEach((value, i) => {
        values[i] = value / Math.sqrt(width);
      });
  }
  layer.training.update();
  return layer;
}

/** Logits of the given tokens, forward only. */
export async function run(
  decoder: Decoder,
  batch: PackedBatch,
  tokens: readonly number[],
): Promise<Float32Array> {
  let x = await decoder.embed(batch);
  for (const span of decoder.spans()) x = await decoder.forward(span, x, batch);
  return logitsAt(decoder, x, tokens);
}
