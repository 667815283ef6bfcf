// `make gpu-check`: providers on this machine's GPU beside PyTorch eager on the same, in under five minutes, as a table and JSON.
// node check.ts [--dry-run] [--providers webgpu,cuda] [--out DIRECTORY] [--peer-device cuda]
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fixtureOf, variants } from '../../test/support/golden/families/fixture.ts';
import { faultsOf, type Part, peerName, type Report, type Side, sideOf, tableOf } from './report.ts';
import { learningRate, rowsOf, type Size, seeds, sizes, sourceOf, writeModel } from './sizes.ts';

const { values: options } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    providers: { type: 'string', default: 'webgpu,cuda' },
    out: { type: 'string', default: '.' },
    'peer-device': { type: 'string', default: 'cuda' },
  },
});
const dry = options['dry-run'];
const sizeName = dry ? 'tiny' : 'smollm2';
const size: Size = sizes[sizeName];
const start = Date.now();
/** Seconds from the start: until when a provider takes another fixture, and when it is ended; then the peer. */
const ends = { webgpu: { fixtures: 140, all: 180 }, cuda: { fixtures: 215, all: 235 }, peer: 285 };
/** A dry run is not held to the time: machines that test are busy. */
const at = (seconds: number) => start + (dry ? 10_000 : 1000) * seconds;
const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));
/** In the archive both are JavaScript. */
const measuring = beside(`measure${extname(import.meta.filename)}`);

const work = mkdtempSync(join(tmpdir(), 'gpu-check-'));
// Of each family the first fixture before all others: time may be up.
const fixtures = dry ? ['llama'] : variants().toSorted((a, b) => rank(a) - rank(b));
try {
  const directory = join(work, 'model');
  writeModel(directory, size);
  const sides: Record<string, Side> = {};
  for (const provider of options.providers.split(',') as ('webgpu' | 'cuda')[]) {
    console.error(`gpu-check: ${provider}`);
    const { fixtures: until, all } = ends[provider];
    const args = [measuring, provider, sizeName, directory, String(at(until)), ...fixtures];
    sides[provider] = await linesOf(process.execPath, args, { end: at(all) });
  }
  console.error(`gpu-check: ${peerName}`);
  const python = process.env['PYTHON'] ?? 'python3';
  const job = peerJob(directory);
  sides[peerName] = await linesOf(python, [beside('torch_peer.py')], { end: at(ends.peer), job });
  const report: Report = {
    machine: machine(),
    size: sizeName,
    seconds: (Date.now() - start) / 1000,
    fixtures: fixtures.length,
    sides,
  };
  const table = tableOf(report, size);
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, 'gpu-results.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(options.out, 'gpu-results.md'), table);
  console.log(table);
  const faults = faultsOf(report);
  for (const fault of faults) console.error(`gpu-check: ${fault}`);
  process.exitCode = faults.length > 0 ? 1 : 0;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function rank(variant: string): number {
  return fixtureOf(variant).emulator === undefined ? 1 : 0;
}

function peerJob(model: string): object {
  const { probe, steps } = size;
  return {
    model,
    device: options['peer-device'],
    source: sourceOf(size),
    trained: size.trained,
    learningRate,
    matrix: size.matrix,
    probe: { rows: rowsOf(size, probe.batches * probe.rows, seeds.probe), batch: probe.rows },
    steps: Array.from({ length: steps.count }, (_, step) => rowsOf(size, steps.rows, seeds.train + step)),
  };
}

/** Runs a program to its end, or to the given one, and takes the lines that it printed until then. */
async function linesOf(
  program: string,
  args: readonly string[],
  { end, job }: { end: number; job?: object },
): Promise<Side> {
  // float32 as it is on both sides, as pods of provider cuda have it.
  const env = { NVIDIA_TF32_OVERRIDE: '0', ...process.env };
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
  const parts: Part[] = [];
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
  });
  createInterface(child.stdout).on('line', (line) => {
    if (line.startsWith('{')) parts.push(JSON.parse(line) as Part);
  });
  // A peer that is missing reads nothing.
  child.stdin.on('error', () => {});
  child.stdin.end(job && JSON.stringify(job));
  const timer = setTimeout(() => child.kill('SIGKILL'), Math.max(0, end - Date.now()));
  const failure = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(`${program} cannot be started: ${error.message}`));
    child.on('close', (code, signal) => {
      const last = said.match(/^\w*Error: .*$/gm)?.at(-1) ?? said.trim().split('\n').at(-1);
      if (signal === 'SIGKILL') resolve('the time was up');
      else resolve(code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}: ${last}`);
    });
  });
  clearTimeout(timer);
  return sideOf(parts, failure);
}

function machine(): Report['machine'] {
  return {
    gpu: asked('nvidia-smi', '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'),
    cpu: cpus()[0]?.model,
    processors: cpus().length,
    node: process.version,
    commit: asked('cat', beside('../../commit')) ?? asked('git', 'rev-parse', 'HEAD'),
  };
}

/** The first line that a program says; undefined where it is not there. */
function asked(program: string, ...args: string[]): string | undefined {
  try {
    const said = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return said.trim().split('\n')[0];
  } catch {
    return undefined;
  }
}
