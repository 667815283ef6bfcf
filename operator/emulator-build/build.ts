import type { EmulatorBuild } from '../../src/api/index.ts';
import {
  type Inputs,
  keepsWork,
  type Place,
  place,
  type StageName,
  type StageWork,
  usual,
  workPlaces,
} from '../jobs/index.ts';

/**
 * What a stage of an EmulatorBuild touches: the model and the probe set, read; the work place, where the pooled states lie
 * that `probe` writes and `assemble` reads; the output, which only `assemble` writes.
 */
export function workOf(
  { spec }: EmulatorBuild,
  stage: StageName,
  _: Inputs,
  modelBytes: number = usual.model,
): StageWork {
  const { writes, ...disk } = workPlaces(spec);
  const reads: Place[] = [place(spec.model, modelBytes), place(spec.probe.data, usual.data)];
  if (stage === 'assemble')
    return {
      stage,
      reads,
      writes: [place(spec.output, modelBytes), ...writes],
      ...disk,
      fillsMemory: false,
    };
  // It only looks whether the output is free, and writes there where that is also the work's claim.
  const output = place(spec.output, 0);
  return {
    stage,
    reads: spec.work === undefined ? reads : [...reads, output],
    writes: spec.work === undefined ? [output] : writes,
    fillsMemory: false,
    shards: spec.probe.shards,
  };
}

/** Pooled states that only the pod's own disk holds reach no other pod: `assemble` computes them, alone. */
export const begins = ({ spec }: EmulatorBuild): StageName => (keepsWork(spec) ? 'probe' : 'assemble');
