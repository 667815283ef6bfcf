import type { EmulatorBuild } from '../../src/api/index.ts';
import { type Inputs, type Place, place, type StageName, type StageWork, usual } from '../jobs/index.ts';

/**
 * What a stage of an EmulatorBuild touches: the model and the probe set, read; the output, beside which the pooled states
 * lie that `probe` writes and `assemble` reads.
 */
export function workOf(
  { spec }: EmulatorBuild,
  stage: StageName,
  _: Inputs,
  modelBytes: number = usual.model,
): StageWork {
  const reads: Place[] = [place(spec.model, modelBytes), place(spec.probe.data, usual.data)];
  return {
    stage,
    reads,
    writes: [place(spec.output, modelBytes)],
    fillsMemory: false,
    ...(stage === 'probe' && { shards: spec.probe.shards }),
  };
}
