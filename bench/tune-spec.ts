// The OffsiteTune that is measured: on the quickstart's questions, by its own settings but for what a measurement says.
import { type OffsiteTuneSpec, parseResource } from '../src/api/index.ts';
import * as settings from './settings.ts';

/** @param fields of the spec that are not the defaults */
export function tuneSpec(
  steps: number,
  fields: Pick<Partial<OffsiteTuneSpec>, 'adapter'> = {},
): OffsiteTuneSpec {
  const manifest = {
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind: 'OffsiteTune',
    metadata: { name: 'bench' },
    spec: {
      emulator: { ref: { name: 'bench' } },
      data: { uri: 'file:train.jsonl', format: 'multipleChoice' },
      training: { steps, batchSize: settings.batchSize, maxLength: 128 },
      output: { uri: 'file:adapter' },
      ...fields,
    },
  };
  return parseResource(manifest, 'bench').spec as OffsiteTuneSpec;
}
