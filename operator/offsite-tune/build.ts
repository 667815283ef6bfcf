import type { OffsiteTune } from '../../src/api/index.ts';
import {
  type Inputs,
  inputPlaces,
  place,
  type StageName,
  type StageWork,
  usual,
  workPlaces,
} from '../jobs/index.ts';

/** What `tune` touches: the bundle and the private rows, read; the adapter and its checkpoints, written. Never a model. */
export function workOf({ spec }: OffsiteTune, stage: StageName, inputs: Inputs): StageWork {
  const { data, output } = spec;
  const { writes, ...disk } = workPlaces(spec);
  return {
    stage,
    reads: [
      ...inputPlaces(inputs),
      place(data, usual.data),
      ...(data.validation ? [place(data.validation, usual.data)] : []),
    ],
    ...disk,
    writes: [place(output, usual.artifact), ...writes],
    // Saved activations fill what they are given.
    fillsMemory: true,
  };
}
