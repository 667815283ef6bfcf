// Layers and heads under training: from an adapter's tensors to weights, and back to gradients.
import { badSpec } from '../api/index.ts';
import type { PackedBatch, Random } from '../data/index.ts';
import type { Architecture, BlockShape, Model, Replacement, Slots, Weights } from '../model/index.ts';
import type { Trainable, TrainedTensor } from '../training/index.ts';
import { type AdapterKind, type Change, insertedBy, type Moment } from './adapters/index.ts';

/** The weights that a site runs because of its tensors. */
export type Form = Replacement & Trainable['training'];

/** A layer, or the head, that trains: its tensors under the optimiser. */
export interface TrainedPart extends Trainable {
  /** What runs while it trains. */
  readonly training: Form;
  /** What runs afterwards; the same without dropout. */
  readonly evaluated: Form;
}

/** How many numbers train in these layers and the head: from shapes alone, before anything is made. */
export function trainedNumbers(
  architecture: Architecture,
  kind: AdapterKind,
  layers: readonly number[],
): number {
  const changes = [
    ...layers.flatMap((layer) => kind.changes(architecture, layer)),
    ...(kind.head?.(architecture) ?? []),
  ];
  return changes
    .flatMap(({ tensors }) => tensors)
    .reduce((sum, { shape }) => sum + shape.reduce((x, y) => x * y, 1), 0);
}

/**
 * A layer whose own weights are the full model's.
 * @param now what dropout hangs on
 * @throws OffsiteError BadSpec where the kind of adapter does not fit the model
 */
export function trainedLayer(
  model: Model,
  layer: number,
  kind: AdapterKind,
  random: Random,
  now: () => Moment,
): TrainedPart {
  const { architecture } = model;
  const part = trained(model, architecture.block(layer), kind.changes(architecture, layer), random);
  return withDropout(part, part.full, { architecture, layer, kind, now });
}

/**
 * A layer whose linear maps the adapter sits beside, whatever they are made of: none of its weights is held here.
 * @param now what dropout hangs on
 * @param shape of the emulator's block; the layer's own when absent
 * @throws OffsiteError BadSpec where the kind of adapter needs the layer's own weights, or does not fit the model
 */
export function trainedBeside(
  { architecture }: Pick<Model, 'architecture'>,
  layer: number,
  kind: AdapterKind,
  random: Random,
  now: () => Moment,
  shape?: BlockShape,
): TrainedPart {
  if (kind.beside === undefined)
    throw badSpec(
      "spec.adapter.type: the emulator has no transfer layers, none of its layers' weights can be trained; write type: lora",
    );
  const changes = kind.beside(architecture, layer, shape);
  const tensors = changes.flatMap((change) => startedTensors(change, new Float32Array(), random));
  const form = { ...formOf({}, changes, tensors), beside: true };
  const part = { tensors, training: form, evaluated: form };
  return withDropout(part, {}, { architecture, layer, kind, now, shape });
}

/** @param full the block's own weights, as far as the part holds them */
function withDropout(
  part: TrainedPart,
  full: Weights,
  {
    architecture,
    layer,
    kind: { dropout },
    now,
    shape,
  }: {
    architecture: Architecture;
    layer: number;
    kind: AdapterKind;
    now: () => Moment;
    shape?: BlockShape | undefined;
  },
): TrainedPart {
  if (dropout === undefined) return part;
  const training = {
    ...formOf(full, dropout.changes(architecture, layer, shape), part.tensors),
    ...(part.training.beside && { beside: true }),
    masks: (batch: PackedBatch) => dropout.masks(architecture, layer, batch, now(), shape),
  };
  return { ...part, training };
}

export function trainedHead(
  model: Model,
  changes: NonNullable<AdapterKind['head']>,
  random: Random,
): TrainedPart {
  return trained(model, model.architecture.head, changes(model.architecture), random);
}

function trained(
  model: Model,
  slots: Slots,
  changes: readonly Change[],
  random: Random,
): TrainedPart & { full: Weights } {
  const full = Object.fromEntries(Object.entries(slots).map(([slot, { name }]) => [slot, model.read(name)]));
  const tensors = changes.flatMap((change) =>
    startedTensors(change, full[change.slot] ?? new Float32Array(), random),
  );
  const form = formOf(full, changes, tensors);
  return { full, tensors, training: form, evaluated: form };
}

/** @param tensors of the changes, in their order */
function formOf(full: Weights, changes: readonly Change[], tensors: readonly TrainedTensor[]): Form {
  const weights: Record<string, Float32Array> = { ...full };
  let next = 0;
  const own = changes.map((change) => {
    const values = tensors.slice(next, next + change.tensors.length).map((tensor) => tensor.values);
    next += change.tensors.length;
    return { ...change, values };
  });
  const made = new Map<string, Float32Array>();
  const update = () => {
    for (const { slot, weight, values } of own) {
      const changed = weight(values, full[slot] ?? new Float32Array(), made.get(slot));
      made.set(slot, changed);
      weights[slot] = changed;
    }
  };
  update();
  return {
    weights,
    slots: own.map(({ slot }) => slot),
    inserted: insertedBy(changes),
    gradients: (of) =>
      own.flatMap(({ slot, values, gradients }) => gradients(values, of[slot] as Float32Array)),
    update,
  };
}

function startedTensors(
  { tensors, start, whole, inserted, isTaken }: Change,
  full: Float32Array,
  random: Random,
): TrainedTensor[] {
  const isWeight = whole && inserted === undefined;
  return start(full, random).map((values, i) => {
    const { name, shape } = tensors[i]!;
    const zeros = () => new Float32Array(values.length);
    const moments = { first: zeros(), second: zeros() };
    const tensor = { name, shape, values, ...moments, best: values.slice(), isWeight };
    return isTaken === undefined ? tensor : { ...tensor, trains: isTaken };
  });
}
