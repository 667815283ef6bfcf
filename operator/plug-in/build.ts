import type { PlugIn } from '../../src/api/index.ts';
import {
  type Inputs,
  inputPlaces,
  place,
  type StageName,
  type StageWork,
  usual,
  workPlaces,
} from '../jobs/index.ts';

/** What `plug` touches: the model, bundle and adapter and the released rows, read; the result, written. Never private rows. */
export function workOf(
  { spec }: PlugIn,
  stage: StageName,
  inputs: Inputs,
  modelBytes: number = usual.model,
): StageWork {
  const { writes, ...disk } = workPlaces(spec);
  return {
    stage,
    reads: [
      place(spec.model, modelBytes),
      ...inputPlaces(inputs),
      ...(spec.evaluation?.tasks ?? []).map(({ data }) => place(data, usual.data)),
    ],
    ...disk,
    writes: [place(spec.output, spec.output.save === 'model' ? modelBytes : usual.artifact), ...writes],
    fillsMemory: false,
  };
}
