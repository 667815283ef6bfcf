import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AssembleInput } from '../src/emulator/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const place = (...parts: string[]) => join(root, '.offsite', ...parts);

export const model = place('models', 'smollm2');
export const probeData = place('data', 'words', 'probe.jsonl');
export const trainData = place('data', 'words', 'train.jsonl');
export const emulator = place('bench', 'emulator');
export const adapter = place('bench', 'adapter');
/** Checkpoints and pooled states. */
export const work = place('bench', 'work');
/** The same weights as a float32 hub checkpoint, for PyTorch. */
export const torchModel = place('bench', 'smollm2-float32');
/** And as a GGUF file, for llama.cpp. */
export const llamaModel = place('bench', 'smollm2-float32.gguf');
export const results = fileURLToPath(new URL('results.json', import.meta.url));

/** Rows whose choices are scored. */
export const evaluation = {
  path: place('data', 'words', 'test.jsonl'),
  format: 'multipleChoice',
  rows: 64,
  maxLength: 128,
} as const;

/** Threads of both sides. */
export const threads = 2;
/** Of a row, where one at a time goes through the model. */
export const promptTokens = 512;
/** Rows of that length, of the probe's tokens one after the other. */
export const prompts = (rows: readonly (readonly number[])[]): number[][] =>
  Array.from({ length: 4 }, (_, i) => rows.flat().slice(i * promptTokens, (i + 1) * promptTokens));
/** The first step warms up and is not counted. */
export const trainSteps = 9;
export const batchSize = 16;
export const memory = 2 * 2 ** 30;

/** The emulator of examples/crash. */
export const build: AssembleInput = {
  model,
  data: { path: probeData, format: 'text' },
  probe: { samples: 512, maxLength: 128, pooling: 'mean', skipFirst: true, shards: 1 },
  output: emulator,
  work: join(work, 'pooled-states'),
  own: join(work, 'pooled-states'),
  memory,
  emit: () => {},
  similarity: { metric: 'linearCKA' },
  plan: { strategy: 'crash', layers: 24, sharing: 'none', transferLayers: { count: 4 } },
  limit: 0,
};

/** Where `npm install node-llama-cpp` was done: $BENCH_LLAMA; no such peer without it. Its file is written by Python's gguf. */
export const llama = (): string | undefined => process.env['BENCH_LLAMA'];

/** Python with torch and transformers: $BENCH_PYTHON, or .venv of this repository. */
export function python(): string {
  const found = process.env['BENCH_PYTHON'] ?? join(root, '.venv', 'bin', 'python');
  if (!existsSync(found))
    throw new Error('no Python with torch and transformers: set BENCH_PYTHON, or make .venv with them');
  for (const needed of [model, probeData, trainData])
    if (!existsSync(needed)) throw new Error(`${needed} is not there; run make model data`);
  return found;
}
