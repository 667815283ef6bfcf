import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import type { Resource } from '../../../src/api/index.ts';
import { writeTinyData } from './data.ts';
import { type TinyModel, writeTinyModel } from './model.ts';

/** Plain JSON of a manifest as it is written, before any default, to be changed by a test. */
export interface Manifest {
  apiVersion: string;
  kind: Resource['kind'];
  metadata: { name: string };
  spec: Record<string, unknown>;
}

/** Sets a field, also a wrong one, by its path such as `spec.training.steps`; undefined removes it. */
export function setField(manifest: Manifest, path: string, value: unknown): void {
  const parts = path.split('.');
  const last = parts.pop() as string;
  let at = manifest as unknown as Record<string, unknown>;
  for (const part of parts) {
    at[part] ??= {};
    at = at[part] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
}

export interface TinyManifests {
  build: Manifest;
  tune: Manifest;
  plug: Manifest;
}

/**
 * The three resources over a tiny model: probe, tune and plug in take seconds.
 * @param uri how a place such as `model`, `data/train.jsonl` or `out/emulator` is addressed
 */
export function tinyManifests(uri: (place: string) => string = (place) => `file:${place}`): TinyManifests {
  const resource = (kind: Resource['kind'], spec: Record<string, unknown>): Manifest => ({
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind,
    metadata: { name: 'tiny' },
    spec,
  });
  return {
    build: resource('EmulatorBuild', {
      model: { uri: uri('model') },
      probe: { data: { uri: uri('data/probe.jsonl'), format: 'text' }, samples: 16, maxLength: 64 },
      layers: 4,
      sharing: 'nearest',
      transferLayers: { count: 2 },
      output: { uri: uri('out/emulator') },
    }),
    tune: resource('OffsiteTune', {
      emulator: { ref: { name: 'tiny' } },
      data: {
        uri: uri('data/train.jsonl'),
        validation: { uri: uri('data/validation.jsonl') },
        format: 'multipleChoice',
      },
      training: {
        steps: 8,
        batchSize: 4,
        learningRate: '1e-2',
        maxLength: 128,
        evalSteps: 4,
        checkpointSteps: 2,
      },
      output: { uri: uri('out/adapter') },
    }),
    plug: resource('PlugIn', {
      model: { uri: uri('model') },
      emulator: { ref: { name: 'tiny' } },
      adapter: { ref: { name: 'tiny' } },
      evaluation: {
        tasks: [{ name: 'tiny', data: { uri: uri('data/test.jsonl') }, format: 'multipleChoice' }],
        bootstrapSamples: 200,
      },
      output: { uri: uri('out/model'), save: 'model' },
    }),
  };
}

/** Writes manifests as one file of YAML documents. */
export function writeManifests(path: string, manifests: readonly Manifest[]): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, manifests.map((manifest) => stringify(manifest)).join('---\n'));
}

/** A directory with model/, data/ and resources.yaml: `offsite run -f resources.yaml` works there as it is. */
export function writeTinyProject(
  directory: string,
  { model, change }: { model?: TinyModel; change?: (manifests: TinyManifests) => void } = {},
): TinyManifests {
  writeTinyModel(join(directory, 'model'), model);
  writeTinyData(join(directory, 'data'));
  const manifests = tinyManifests();
  change?.(manifests);
  writeManifests(join(directory, 'resources.yaml'), Object.values(manifests));
  return manifests;
}
