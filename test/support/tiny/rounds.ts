// examples/rounds over the tiny model: the example's own resources, of fewer parties, rounds and steps.
import { join } from 'node:path';
import { dealRows } from '../../../examples/rounds/build-data.ts';
import { manifestsOfRounds } from '../../../examples/rounds/in-namespaces.ts';
import { writeTinyData } from './data.ts';
import { writeTinyModel } from './model.ts';
import { type Manifest, setField } from './resources.ts';

export interface RoundsShape {
  readonly parties: readonly string[];
  readonly rounds: number;
}

/** The emulator, and of each round each party's training and what all come to, in the order in which they are made. */
export function tinyRounds({ parties, rounds }: RoundsShape): Manifest[] {
  const kept = [
    'rounds',
    ...Array.from({ length: rounds }, (_, i) => [...parties, 'round'].map((of) => `${of}-${i + 1}`)).flat(),
  ];
  const manifests = (manifestsOfRounds() as Manifest[]).filter(({ metadata: { name } }) =>
    kept.includes(name),
  );
  for (const manifest of manifests) shorten(manifest, kept);
  return manifests;
}

function shorten(manifest: Manifest, kept: readonly string[]): void {
  const fields: Record<Manifest['kind'], Record<string, unknown>> = {
    EmulatorBuild: { 'probe.samples': 16, 'compression.ratio': '0.5' },
    OffsiteTune: {
      adapter: { type: 'lora', rank: 2, alpha: 4 },
      'training.steps': 4,
      'training.batchSize': 4,
      'training.checkpointSteps': 1,
    },
    PlugIn: { adapters: partiesOf(manifest).filter(({ ref }) => kept.includes(ref.name)) },
  };
  for (const [field, value] of Object.entries(fields[manifest.kind]))
    setField(manifest, `spec.${field}`, value);
}

/** The adapters that a PlugIn of the example refers to. */
export const partiesOf = ({ spec }: Manifest) => (spec['adapters'] ?? []) as { ref: { name: string } }[];

/** Writes models/ and data/ as the example names them: the model, the model owner's rows, and each party's. */
export function writeTinyRounds(directory: string): void {
  writeTinyModel(join(directory, 'models/smollm2'));
  writeTinyData(join(directory, 'data/words'));
  dealRows(join(directory, 'data/words'), join(directory, 'data/rounds'));
}
