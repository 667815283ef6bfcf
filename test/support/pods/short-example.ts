import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Resource } from '../../../src/api/index.ts';
import type { Manifest } from '../tiny/index.ts';

const root = join(import.meta.dirname, '../../..');

/** How many rows of each of the example's files are kept. */
const rows = { probe: 24, train: 64, validation: 8, test: 12 };

export interface ShortOptions {
  /** Pods that share the probe. */
  readonly shards?: number;
  /** Optimiser steps: more where something is to happen in the middle. */
  readonly steps?: number;
}

/** The three manifests of examples/crash, which is quicker built than the quickstart, with the real model and few rows and steps: minutes in all. */
export function shortExample({ shards = 1, steps = 4 }: ShortOptions = {}): Manifest[] {
  const folder = join(root, 'examples/crash');
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  const changes: Record<Resource['kind'], (spec: Record<string, unknown>) => object> = {
    EmulatorBuild: ({ probe }) => ({ probe: { ...(probe as object), samples: 16, shards } }),
    OffsiteTune: ({ training }) => ({
      training: { ...(training as object), steps, batchSize: 4, evalSteps: Math.ceil(steps / 2) },
    }),
    // So few steps gain nothing: no gate, and no model to keep.
    PlugIn: ({ output }) => ({ gates: undefined, output: { ...(output as object), save: 'adapter' } }),
  };
  return files.sort().map((file) => {
    const manifest = parse(readFileSync(join(folder, file), 'utf8')) as Manifest;
    return { ...manifest, spec: { ...manifest.spec, ...changes[manifest.kind](manifest.spec) } };
  });
}

/** Makes the folders that the claims are filled from, in `directory`. @returns claim/path -> folder */
export function shortData(directory: string): Record<string, string> {
  mkdirSync(join(directory, 'data/words'), { recursive: true });
  mkdirSync(join(directory, 'models'));
  for (const [name, count] of Object.entries(rows)) {
    const lines = readFileSync(join(root, `.offsite/data/words/${name}.jsonl`), 'utf8').split('\n');
    writeFileSync(join(directory, `data/words/${name}.jsonl`), `${lines.slice(0, count).join('\n')}\n`);
  }
  symlinkSync(join(root, '.offsite/models/smollm2'), join(directory, 'models/smollm2'));
  return {
    'data/words': join(directory, 'data/words'),
    'models/smollm2': join(directory, 'models/smollm2'),
  };
}
