// What each way to an emulator costs on SmolLM2-135M: processor seconds and peak memory of both stages, as pods run them.
// node bench/strategies/main.ts [--only PART OF A NAME] [--tables]; kept in costs.json, told in docs/emulators.md.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writePodJob } from '../../src/api/index.ts';
import { keptIn } from '../kept.ts';
import { writeRegion } from '../page.ts';
import { cpuSecondsOf, peakBytesOf } from '../process.ts';
import { resource, root } from '../resources.ts';
import { digest } from '../study/experiment.ts';
import { type Cost, costTable, type StageCost } from './table.ts';
import { type Way, ways } from './ways.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, tables: { type: 'boolean', default: false } },
});
const probe = { samples: 64, maxLength: 128 };
const claims = join(root, '.offsite');
const costs = keptIn<Cost>(new URL('costs.json', import.meta.url));
const keyOf = ({ build }: Way) => digest([build, probe]);

if (!values.tables)
  for (const way of ways.filter(({ name }) => name.includes(values.only))) {
    const key = keyOf(way);
    if (costs.read().some((cost) => cost.key === key)) continue;
    console.log(way.name);
    costs.keep({ key, way: way.name, ...(await measured(way)) });
  }
const known = new Map(costs.read().map((cost) => [cost.key, cost]));
const told = ways.map((way) => known.get(keyOf(way))).filter((cost) => cost !== undefined);
writeRegion('emulators', 'bench/strategies', costTable(told, ways[0]!.name));

/** Both stages of a build from nothing. @throws Error where one does not end well */
async function measured({ build }: Way): Promise<Pick<Cost, 'probe' | 'assemble'>> {
  const place = join(claims, 'strategies');
  rmSync(place, { recursive: true, force: true });
  mkdirSync(join(place, 'scratch'), { recursive: true });
  const { spec, ...rest } = resource('EmulatorBuild', 'cost', {
    model: { uri: 'pvc://models/smollm2' },
    probe: { data: { uri: 'pvc://data/words/probe.jsonl', format: 'text' }, ...probe },
    transferLayers: { count: 'compression' in build ? 0 : 4 },
    ...build,
    evaluation: { limit: 0 },
    engine: { threads: 1 },
    work: { uri: 'pvc://strategies/work' },
    output: { uri: 'pvc://strategies/bundle' },
  });
  const stage = (name: 'probe' | 'assemble') =>
    runStage(
      writePodJob({
        ...{ stage: name, attempt: 1, inputs: {}, shards: 1 },
        resource: {
          ...rest,
          metadata: { ...rest.metadata, namespace: 'bench', uid: 'cost', generation: 1 },
          spec,
        },
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
