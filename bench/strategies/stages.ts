// A build's two stages as pods run them, from nothing: processor seconds and peak memory of each.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writePodJob } from '../../src/api/index.ts';
import { cpuSecondsOf, peakBytesOf } from '../process.ts';
import { resource, root } from '../resources.ts';

export interface StageCost {
  /** Of the processor, all threads. */
  readonly seconds: number;
  readonly peakBytes: number;
}

export interface BuildCost {
  /** The pass over the probe's rows, with all that is observed in it. */
  readonly probe: StageCost;
  /** Choosing, deriving, refining and writing; no scores. */
  readonly assemble: StageCost;
}

const claims = join(root, '.offsite');

/**
 * @param spec of an EmulatorBuild of SmolLM2, without places: its probe's rows are in the claim `data`
 * @throws Error where a stage does not end well
 */
export async function buildCost(spec: object): Promise<BuildCost> {
  const place = join(claims, 'strategies');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(join(place, 'scratch'), { recursive: true });
  const build = resource('EmulatorBuild', 'cost', {
    model: { uri: 'pvc://models/smollm2' },
    ...spec,
    evaluation: { limit: 0 },
    engine: { threads: 1 },
    work: { uri: 'pvc://strategies/work' },
    output: { uri: 'pvc://strategies/bundle' },
  });
  const metadata = { ...build.metadata, namespace: 'bench', uid: 'cost', generation: 1 };
  const stage = (name: 'probe' | 'assemble') =>
    runStage(
      writePodJob({
        ...{ stage: name, attempt: 1, inputs: {}, shards: 1 },
        resource: { ...build, metadata },
      }),
      place,
    );
  try {
    return { probe: await stage('probe'), assemble: await stage('assemble') };
  } finally {
    rmSync(place, { recursive: true });
  }
}

/** A pod's process to its end; what it took is read ten times a second, so that its last tenth may be missing. */
async function runStage(job: string, place: string): Promise<StageCost> {
  const child = spawn(process.execPath, ['src/worker/pod/main.ts'], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      HOME: place,
      OFFSITE_JOB: job,
      OFFSITE_CLAIMS: claims,
      OFFSITE_SCRATCH: join(place, 'scratch'),
      OFFSITE_TERMINATION_LOG: join(place, 'end'),
    },
    stdio: ['ignore', 'ignore', 2],
  });
  let cost: StageCost = { seconds: 0, peakBytes: 0 };
  const watch = setInterval(() => {
    try {
      cost = { seconds: cpuSecondsOf(child.pid!), peakBytes: peakBytesOf(child.pid!) };
    } catch {
      // it has ended, and what was read before stands
    }
  }, 100);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(watch);
  if (code !== 0)
    throw new Error(`the stage ended with code ${code}: ${readFileSync(join(place, 'end'), 'utf8')}`);
  return cost;
}
