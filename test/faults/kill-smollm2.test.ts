// The real model, few steps: killed while it evaluates, trains, writes a checkpoint or plugs in, it ends with the digests of
// the run that never was.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { Project } from '../support/faults/project.ts';
import { drawFor, faultRuns } from '../support/faults/seed.ts';
import { type Manifest, setField, tinyManifests, writeManifests } from '../support/tiny/index.ts';

const steps = 4;
const words = resolve('.offsite/data/words');
const project = new Project((directory) => [
  ...['-f', join(directory, 'resources.yaml'), '--json'],
  ...['--mount', `models=${resolve('.offsite/models')}`, '--mount', `data=${words}`],
  ...['--mount', `out=${join(directory, 'out')}`],
]);
afterAll(() => project.remove());

test('killed at random moments of tuning and plugging in', async () => {
  writeManifests(project.path('resources.yaml'), manifests());
  const validation = readFileSync(join(words, 'validation.jsonl'), 'utf8').split('\n');
  mkdirSync(project.path('out'));
  writeFileSync(project.path('out/few.jsonl'), validation.slice(0, 8).join('\n'));
  const whole = await project.run();
  expect(whole.code, whole.stdout.slice(-2000)).toBe(0);
  const reference = project.digests();
  expect(Object.values(reference).every((digest) => digest?.startsWith('sha256:'))).toBe(true);

  const random = drawFor('SmolLM2');
  for (let run = 0; run < faultRuns; run++) {
    project.forget('adapter', 'model');
    project.forgetWork('OffsiteTune');
    await killAt(moments[random.below(moments.length)]!, random.below(1500));
    const last = await project.run();
    expect(last.code, last.stdout.slice(-2000)).toBe(0);
    expect(project.digests()).toEqual(reference);
  }
});

/** When the time to the kill starts to run: at a line of the output, or as soon as there is a checkpoint of that name. */
type Moment = { line: string } | { file: string };
const moments: readonly Moment[] = [
  { line: '"stage":"evaluate"' },
  { line: '"stage":"tune"' },
  { file: 'step-00000001.*.partial' },
  { file: `step-0000000${steps}` },
  { line: '"stage":"plug: plugIn"' },
];

async function killAt(moment: Moment, delay: number): Promise<void> {
  let seen = false;
  const { child, ended } = project.start({
    onLine: (line) => {
      if ('line' in moment && line.includes(moment.line)) seen = true;
    },
  });
  let alive = true;
  void ended.then(() => {
    alive = false;
  });
  while (!seen && alive) {
    await sleep(2);
    if ('file' in moment)
      seen ||= globSync(`checkpoints/*/${moment.file}`, { cwd: project.work('OffsiteTune') }).length > 0;
  }
  const wait = 'file' in moment && moment.file.endsWith('.partial') ? delay / 100 : delay;
  console.log(`  killed ${Math.round(wait)} ms after ${JSON.stringify(moment)}`);
  await sleep(wait);
  child.kill('SIGKILL');
  await ended;
}

function manifests(): Manifest[] {
  const { build, tune, plug } = tinyManifests((place) =>
    place === 'model' ? 'pvc://models/smollm2' : `pvc://${place}`,
  );
  setField(build, 'spec.probe.samples', 4);
  setField(build, 'spec.layers', 20);
  setField(build, 'spec.evaluation', { limit: 0 });
  setField(tune, 'spec.data.validation', { uri: 'pvc://out/few.jsonl' });
  setField(tune, 'spec.training', {
    ...{ steps, batchSize: 2, evalSteps: 2, checkpointSteps: 1 },
    ...{ learningRate: '5e-5', maxLength: 128 },
  });
  setField(plug, 'spec.evaluation.tasks.0.limit', 8);
  setField(plug, 'spec.output.save', 'adapter');
  return [build, tune, plug];
}
