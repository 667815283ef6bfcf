// The contract of a compression: what the kept layers become that the data owner does not train.
import type { Engine } from '../../engine/index.ts';
import type { BlockShape, Model } from '../../model/index.ts';
import type { ObservationName, Observations } from '../observe/observations.ts';
import type { Shapes } from '../plan/layout.ts';
import type { Plan } from '../plan/plan.ts';

/** What a compression may look at. */
export interface Given {
  readonly model: Model;
  readonly plan: Plan;
  /** What was observed of the probe's rows, of what the compression needs. */
  readonly found: Observations;
  readonly engine: Engine;
}

export interface Compression<Options> {
  /** What must be observed beforehand. */
  needs(options: Options): readonly ObservationName[];
  /**
   * The shape of each of the layers that becomes another one; a layer that is not there stays exact.
   * @param layers the kept ones that do not train
   */
  plan(layers: readonly number[], given: Given, options: Options): Promise<Shapes>;
  /**
   * The values of those slots of the shaped block that are not the layer's own tensors, by slot, as the graph takes them
   * (float32, row-major). One block is in memory.
   */
  derive(
    layer: number,
    shape: BlockShape,
    given: Given,
    options: Options,
  ): Promise<ReadonlyMap<string, Float32Array>>;
}
