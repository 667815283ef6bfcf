// GGUF tensors read as float32, beside the gguf package (numpy) in turns: prints a table, writes bench/decode-results.json.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../src/checkpoint/index.ts';
import fixture from '../test/fixtures/quantised.json' with { type: 'json' };
import { gguf } from '../test/support/tiny/gguf.ts';
import { measure, median } from './child.ts';

/** Of the tensor: 67 MB of float32. */
const [rows, columns] = [4096, 4096];
const rounds = Number(process.env['BENCH_RUNS'] ?? 5);
const python = process.env['BENCH_PYTHON'];
const types = { Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14 } as const;

const directory = mkdtempSync(join(tmpdir(), 'offsite-decode-'));
const megabytesPerSecond: Record<string, { ours: number; gguf?: number }> = {};
try {
  for (const [name, type] of Object.entries(types)) {
    const path = join(directory, `${name}.gguf`);
    const data = repeated(Buffer.from(fixture[name as keyof typeof types].blocks, 'base64'), name);
    writeFileSync(path, gguf({ tensors: [{ name: 'w', dimensions: [columns, rows], type }], data }));
    const peer =
      python && (await measure<{ seconds: number }>(python, [beside('gguf_peer.py')], { path, rounds }));
    const speed = (seconds: number) => Math.round((rows * columns * 4) / 1e6 / seconds);
    megabytesPerSecond[name] = { ours: speed(ours(path)), ...(peer && { gguf: speed(peer.seconds) }) };
    rmSync(path);
  }
} finally {
  rmSync(directory, { recursive: true });
}
const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version };
const results = { machine, settings: { rows, columns, rounds }, megabytesPerSecond };
writeFileSync(beside('decode-results.json'), `${JSON.stringify(results, null, 2)}\n`);
console.table(megabytesPerSecond);

/** The median seconds of a read of the whole tensor into memory that is there, file and code warm. */
function ours(path: string): number {
  const checkpoint = openCheckpoint(path);
  const into = new Float32Array(rows * columns);
  const seconds = Array.from({ length: rounds + 1 }, () => {
    const start = performance.now();
    checkpoint.read('w', { into });
    return (performance.now() - start) / 1000;
  });
  checkpoint.close();
  return median(seconds.slice(1));
}

/** The reference's blocks again and again, as many as the tensor has. */
function repeated(blocks: Buffer, name: string): Buffer {
  const { values } = fixture[name as keyof typeof types];
  const elements = Buffer.from(values, 'base64').length / 4;
  return Buffer.alloc((rows * columns * blocks.length) / elements, blocks);
}

function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
