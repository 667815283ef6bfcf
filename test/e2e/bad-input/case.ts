import { readFileSync, writeFileSync } from 'node:fs';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../../src/checkpoint/index.ts';
import type { Manifest } from '../../support/tiny/index.ts';

/** What a case may change: its own copy of a good project, and the manifest of its kind. */
export interface Place {
  manifest: Manifest;
  path: (...parts: string[]) => string;
}

export interface Case {
  name: string;
  kind: keyof typeof stageOf;
  change: (place: Place) => void;
  reason: 'BadSpec' | 'BadData' | 'BadModel' | 'GateFailed' | 'StoreUnavailable';
  message: RegExp;
}

export const stageOf = { EmulatorBuild: 'build', OffsiteTune: 'tune', PlugIn: 'plug' } as const;

/** Lays fields over config.json. */
export const config = (path: Place['path'], change: Record<string, unknown>) => {
  const file = path('model/config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
};

/** Writes model.safetensors again with one tensor changed, left out or put beside the others. */
export function rewrite(file: string, change: (tensors: Tensors) => void): void {
  const checkpoint = openCheckpoint(file);
  const tensors: Tensors = new Map(
    [...checkpoint.tensors.values()].map(({ name, shape, dtype }) => [
      name,
      { shape, dtype: dtype as 'F32', values: checkpoint.read(name) },
    ]),
  );
  checkpoint.close();
  change(tensors);
  writeSafetensors(
    file,
    [...tensors].map(([name, { values, ...rest }]) => ({
      name,
      ...rest,
      bytes: () => encodeFloats(values, rest.dtype),
    })),
  );
}
export type Tensors = Map<
  string,
  { shape: readonly number[]; dtype: 'F32' | 'F16' | 'BF16'; values: Float32Array }
>;
