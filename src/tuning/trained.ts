import type { Random } from '../data/index.ts';
import type { Model, Weights } from '../model/index.ts';
import type { AdapterKind, Change } from './adapters/index.ts';
import type { TrainedTensor } from './state.ts';

/** A transfer layer that trains: its tensors under the optimiser, and the weights that the layer runs. */
export interface TrainedLayer {
  readonly tensors: readonly TrainedTensor[];
  /** By slot; what they hold changes with `update`. */
  readonly weights: Weights;
  /** The slots whose gradients `gradients` takes. */
  readonly slots: readonly string[];
  /** dL/d(tensors), in their order, out of dL/d(weights). */
  gradients(weights: Weights): Float32Array[];
  /** Brings the weights up to the tensors: after each step, and after a checkpoint was read. */
  update(): void;
}

/** @throws OffsiteError BadSpec where the kind of adapter does not fit the model */
export function trainedLayer(model: Model, layer: number, kind: AdapterKind, random: Random): TrainedLayer {
  const weights: Record<string, Float32Array> = {};
  for (const [slot, { name }] of Object.entries(model.architecture.block(layer)))
    weights[slot] = model.read(name);
  const changes = kind.changes(model.architecture, layer).map((change) => {
    const full = weights[change.slot] as Float32Array;
    const tensors = startedTensors(change, full, random);
    return { ...change, full, trained: tensors, values: tensors.map(({ values }) => values) };
  });
  const made = new Map<string, Float32Array>();
  const update = () => {
    for (const { slot, weight, values, full } of changes) {
      const own = weight(values, full, made.get(slot));
      made.set(slot, own);
      weights[slot] = own;
    }
  };
  update();
  return {
    tensors: changes.flatMap(({ trained }) => trained),
    weights,
    slots: changes.map(({ slot }) => slot),
    gradients: (of) =>
      changes.flatMap(({ slot, values, gradients }) => gradients(values, of[slot] as Float32Array)),
    update,
  };
}

function startedTensors({ tensors, start }: Change, full: Float32Array, random: Random): TrainedTensor[] {
  return start(full, random).map((values, i) => {
    const { name, shape } = tensors[i]!;
    const zeros = () => new Float32Array(values.length);
    return { name, shape, values, first: zeros(), second: zeros(), best: values.slice() };
  });
}
