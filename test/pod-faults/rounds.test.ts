// Four parties and a model owner in namespaces of their own, three rounds over a bucket: a pod of each stage is killed, and every
// artifact, verdict and figure is what `offsite run` of examples/rounds comes to where nobody is disturbed.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import type { OffsiteTuneStatus, PlugInStatus } from '../../src/api/index.ts';
import type { LiveResource } from '../support/cluster/resources.ts';
import { directoryOf } from '../support/cluster/volumes.ts';
import { offsite } from '../support/offsite/index.ts';
import { outcomeOf } from '../support/pods/outcome.ts';
import { modelOwner, ownerOf, Parties, SigningKeys, writeKey } from '../support/pods/parties.ts';
import { canRunNode, Release } from '../support/pods/release.ts';
import {
  type Manifest,
  setField,
  tinyRounds,
  writeManifests,
  writeTinyRounds,
} from '../support/tiny/index.ts';

const limitMs = 8 * 60_000;
const parties = ['north', 'east', 'south', 'west'];
const owners = [modelOwner, ...parties];
const manifests = tinyRounds({ parties, rounds: 3 });
const named = (name: string) => manifests.find(({ metadata }) => metadata.name === name) as Manifest;
for (const manifest of manifests) setField(manifest, 'spec.engine', { memory: '512Mi', threads: 1 });
// Long enough to be killed in the middle.
for (const [field, value] of Object.entries({ steps: 400, checkpointSteps: 10 }))
  setField(named('west-2'), `spec.training.${field}`, value);
setField(named('round-3'), 'spec.aggregation.leaveOneOut', true);

/** One process, one namespace, references in the place of addresses and digests. */
async function undisturbed(directory: string, keys: SigningKeys): Promise<LiveResource[]> {
  const signed = structuredClone(manifests);
  for (const manifest of signed) keys.sign(manifest, { name: ownerOf(manifest) });
  const input = join(directory, 'rounds.yaml');
  writeManifests(input, signed);
  const claims = ['models', 'data', 'artifacts'];
  const { code, stderr } = await offsite([
    ...['run', '-f', input, '--work-dir', join(directory, 'work')],
    ...claims.flatMap((claim) => ['--mount', `${claim}=${join(directory, claim)}`]),
    ...owners.flatMap((owner) => ['--keys', `${owner}=${writeKey(directory, owner, keys)}`]),
  ]);
  expect(code, stderr).toBe(0);
  return manifests.map(({ kind, metadata: { name } }) =>
    parse(readFileSync(join(directory, 'work', kind.toLowerCase(), name, 'resource.yaml'), 'utf8')),
  );
}

/** Verdicts beside what each has. */
const whatCame = (resource: LiveResource) => {
  const { parties: told, aggregate } = resource.status as PlugInStatus;
  // Called by its reference there, by its address here.
  const verdicts = told?.map(({ adapter: _, ...verdict }) => verdict);
  const { validation, training } = resource.status as OffsiteTuneStatus;
  return [
    resource.metadata.name,
    { ...outcomeOf(resource), verdicts, aggregate, validation, steps: training?.steps },
  ] as const;
};
const whatCameOf = (resources: readonly LiveResource[]) => Object.fromEntries(resources.map(whatCame));

describe.skipIf(!canRunNode())('four parties, three rounds, each in a namespace of its own', () => {
  const keys = new SigningKeys(owners);
  let release: Release;
  let inPods: Parties;
  let directory: string;
  const claimOf = new Map<string, string>();

  beforeAll(async () => {
    release = await Release.install();
    directory = join(release.directory, 'rounds');
    writeTinyRounds(directory);
    mkdirSync(join(directory, 'artifacts'));
    const folders: Record<string, Record<string, string>> = {
      [modelOwner]: {
        'models/smollm2': join(directory, 'models/smollm2'),
        'data/words': join(directory, 'data/words'),
      },
    };
    for (const party of parties) folders[party] = { 'data/rounds': rowsOf(directory, party) };
    inPods = await Parties.prepare(release, keys, folders);
    for (const owner of owners)
      claimOf.set(owner, directoryOf(release.cluster.kubeconfig, owner, 'artifacts'));
  }, limitMs);
  afterAll(async () => {
    await inPods?.remove();
    await release?.remove();
  });

  /** What lies in a resource's own place of work. */
  function inWork(manifest: Manifest, pattern: string): string[] {
    const own = `work/${manifest.kind.toLowerCase()}/${ownerOf(manifest)}`;
    return globSync(pattern, { cwd: join(claimOf.get(ownerOf(manifest)) as string, own) });
  }

  /** Ends a stage's first worker by SIGKILL once its work has come so far. */
  async function killAt(manifest: Manifest, stage: string, begun: () => boolean): Promise<void> {
    const found = <T>(look: () => T | undefined) =>
      vi.waitUntil(look, { timeout: limitMs, interval: 50 }).catch(() => {
        const there = release.cluster.kubectl(['get', 'emulatorbuilds,offsitetunes,plugins,jobs,pods', '-A']);
        throw new Error(`${manifest.metadata.name}: no pod of stage ${stage} came up; there are\n${there}`);
      }) as Promise<T>;
    const pid = await found(() => firstProcessOf(manifest, stage));
    while (!begun()) {
      if (!existsSync(`/proc/${pid}`))
        throw new Error(`${manifest.metadata.name}: ended before it came so far`);
      await sleep(5);
    }
    process.kill(pid, 'SIGKILL');
  }

  /** It has its place of work, and is not yet done. */
  const isAtWork = (manifest: Manifest) => () =>
    inWork(manifest, `.${manifest.metadata.name}.offsite-lock/*`).length > 0;

  it(
    'a pod of each stage killed, a party gone, keys changed: what `offsite run` comes to',
    async () => {
      const alone = await undisturbed(directory, keys);
      const came: LiveResource[] = [];
      const complete = async (...all: Manifest[]) => came.push(...(await inPods.complete(all, limitMs)));

      const build = named('rounds');
      inPods.apply(build);
      await inPods.deleteRunning(build, 'probe');
      await killAt(build, 'assemble', isAtWork(build));
      await complete(build);
      for (const round of [1, 2, 3]) {
        const trainings = parties.map((party) => named(`${party}-${round}`));
        for (const training of trainings) inPods.apply(training);
        if (round === 2) {
          const long = named('west-2');
          await killAt(long, 'tune', () => inWork(long, 'west-2/checkpoints/*/step-*20').length > 0);
        }
        await complete(...trainings);
        if (round === 1) inPods.changeKeys('north');
        // What it has handed over lies in the bucket.
        if (round === 3) release.cluster.kubectl(['delete', 'namespace', 'west']);
        const aggregation = named(`round-${round}`);
        inPods.apply(aggregation);
        if (round === 2) await killAt(aggregation, 'plug', isAtWork(aggregation));
        if (round === 3)
          await killAt(
            aggregation,
            'plug',
            () => inWork(aggregation, 'round-3/aggregate/aggregate.safetensors').length > 0,
          );
        await complete(aggregation);
      }
      expect(whatCameOf(came)).toEqual(whatCameOf(alone));
      const status = (name: string) => came.find(({ metadata }) => metadata.name === name)?.status;
      // The second pod went on from the first one's checkpoint.
      expect(status('west-2')).toMatchObject({ training: { resumes: 1 } });
    },
    2 * limitMs,
  );
});

/** A folder with a party's rows alone. */
function rowsOf(directory: string, party: string): string {
  const own = join(directory, 'of', party);
  mkdirSync(own, { recursive: true });
  cpSync(join(directory, `data/rounds/${party}.jsonl`), join(own, `${party}.jsonl`));
  return own;
}

/**
 * The first process of a worker's container, as this machine counts: by the job that it was given, since a stage may be over before
 * the API server has told of its pod.
 */
function firstProcessOf(manifest: Manifest, stage: string): number | undefined {
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return ''; // it has ended
    }
  };
  const job = [`OFFSITE_JOB={"stage":"${stage}"`, `"name":"${manifest.metadata.name}"`];
  const found = globSync('/proc/[0-9]*').find((process) => {
    if (!/^NSpid:.*\t1$/m.test(read(`${process}/status`))) return false;
    const environment = read(`${process}/environ`);
    return job.every((part) => environment.includes(part));
  });
  return found === undefined ? undefined : Number(found.split('/')[2]);
}
