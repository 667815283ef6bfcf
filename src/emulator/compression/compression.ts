// What a way of compressing layers does: says which shapes their blocks get, and derives these blocks' weights.
import type { Engine } from '../../engine/index.ts';
import type { BlockShape, Model } from '../../model/index.ts';
import type { ObservationName, Observations } from '../observe/observations.ts';
import type { Shapes } from '../plan/layout.ts';
import type { Plan } from '../plan/plan.ts';

/** What a compression is made from. */
export interface Given {
  readonly model: Model;
  readonly found: Observations;
  readonly plan: Plan;
  readonly engine: Engine;
  /** Called between maps. @throws OffsiteError Cancelled when the stage is to stop */
  stopIfAsked(): void;
}

/** A way of compressing the layers that are kept and do not train. Equal inputs give equal bytes on one engine. */
export interface Compression<O> {
  /** What must be observed of the full model. */
  needs(options: O): readonly ObservationName[];
  /** The shape of every block that is compressed; a layer that is not named stays as it is. */
  plan(layers: readonly number[], given: Given, options: O): Promise<Shapes>;
  /**
   * The values of the slots of the shaped block that are not the layer's own tensors, by slot; float32, as the graph takes
   * them. One block is in memory.
   */
  derive(
    layer: number,
    shape: BlockShape,
    given: Given,
    options: O,
  ): Promise<ReadonlyMap<string, Float32Array>>;
}
