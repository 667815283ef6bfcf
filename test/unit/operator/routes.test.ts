/** Every change leads to each resource that it may concern, and to no other. */
import { expect, it } from 'vitest';
import type { Job } from '../../../operator/jobs/index.ts';
import { type Known, routesOfResource, routesOfRun, routesToAll } from '../../../operator/routes.ts';
import type { KubeObject } from '../../../operator/runtime/index.ts';
import type { Kind } from '../../../src/api/index.ts';
import { completed, pod, resource, World } from '../../support/unit/operator/fixtures.ts';
import { cachesOf } from '../../support/unit/operator/observing.ts';

async function known(...objects: KubeObject[]): Promise<Known> {
  const ending = new AbortController();
  const caches = await cachesOf(objects, ending.signal);
  ending.abort();
  return caches;
}

const named = (kind: Kind, name: string, spec: object = {}) =>
  resource(kind, { name, uid: `uid-${name}`, spec });

/** A resource's Job as the cluster has it. */
function jobOf(object: KubeObject): Job {
  const world = new World(object);
  world.dependencies = { emulator: completed('EmulatorBuild', 'e'), adapter: completed('OffsiteTune', 'a') };
  return world.run().jobs[0]!;
}

const without = <T extends KubeObject>(object: T, ...fields: ('labels' | 'ownerReferences')[]): T => {
  const metadata = { ...object.metadata };
  for (const field of fields) delete metadata[field];
  return { ...object, metadata };
};

const told = (routes: readonly { kind: Kind; key: string }[]) =>
  [...new Set(routes.map(({ kind, key }) => `${kind} ${key}`))].sort();

it('leads from a resource to itself and to all that refer to it, in its namespace', async () => {
  const elsewhere = named('OffsiteTune', 'elsewhere');
  elsewhere.metadata.namespace = 'other';
  const caches = await known(
    named('OffsiteTune', 'a'),
    named('PlugIn', 'b'),
    named('OffsiteTune', 'c', { emulator: { ref: { name: 'another' } } }),
    elsewhere,
  );
  expect(told(routesOfResource(resource('EmulatorBuild'), caches))).toEqual([
    'EmulatorBuild team/words',
    'OffsiteTune team/a',
    'PlugIn team/b',
  ]);
  expect(told(routesOfResource(resource('OffsiteTune'), caches))).toEqual([
    'OffsiteTune team/words',
    'PlugIn team/b',
  ]);
  expect(told(routesOfResource(resource('PlugIn'), caches))).toEqual(['PlugIn team/words']);
});

it('leads to trainings that go on from an adapter, of either kind that makes such, and of the one that they name', async () => {
  const caches = await known(
    named('OffsiteTune', 'a', { start: { ref: { name: 'words' } } }),
    named('OffsiteTune', 'b', { start: { ref: { kind: 'PlugIn', name: 'words' } } }),
  );
  expect(told(routesOfResource(resource('OffsiteTune'), caches))).toEqual([
    'OffsiteTune team/a',
    'OffsiteTune team/words',
  ]);
  expect(told(routesOfResource(resource('PlugIn'), caches))).toEqual([
    'OffsiteTune team/b',
    'PlugIn team/words',
  ]);
});

it('leads from a Job and a pod to their resource, by owner or by label', async () => {
  const tune = resource('OffsiteTune');
  const job = jobOf(tune);
  const caches = await known(job);
  const own = ['OffsiteTune team/words'];
  for (const state of [job, without(job, 'labels'), without(job, 'ownerReferences')])
    expect(told(routesOfRun([state], caches))).toEqual(own);
  for (const state of [pod(job), without(pod(job), 'labels'), without(pod(job), 'ownerReferences')])
    expect(told(routesOfRun([state], caches))).toEqual(own);
});

it('leads also to whom it belonged before it was changed, and from what is gone', async () => {
  const job = jobOf(resource('OffsiteTune'));
  const now = without(job, 'labels', 'ownerReferences');
  const caches = await known();
  expect(told(routesOfRun([now, job], caches))).toEqual(['OffsiteTune team/words']);
  expect(told(routesOfRun([undefined, job], caches))).toEqual(['OffsiteTune team/words']);
});

it('leads to whoever writes to the same output, in the same namespace', async () => {
  const output = { uri: 'pvc://artifacts/words-adapter' };
  const elsewhere = named('PlugIn', 'elsewhere', { output });
  elsewhere.metadata.namespace = 'other';
  const caches = await known(
    named('PlugIn', 'same', { output }),
    named('PlugIn', 'another', { output: { uri: 'pvc://artifacts/another' } }),
    elsewhere,
  );
  const job = jobOf(resource('OffsiteTune', { spec: { output } }));
  expect(told(routesOfRun([job], caches))).toEqual(['OffsiteTune team/words', 'PlugIn team/same']);
});

it('leads from what is of no kind of ours to nobody', async () => {
  const job = without(jobOf(resource('OffsiteTune')), 'ownerReferences');
  const forged = { 'offsite-tuning.dev/kind': 'constructor', 'offsite-tuning.dev/name': 'words' };
  const caches = await known();
  const state = { ...job, metadata: { ...job.metadata, labels: forged }, spec: {} };
  expect(routesOfRun([state], caches)).toEqual([]);
});

it('leads to every resource', async () => {
  const caches = await known(named('EmulatorBuild', 'a'), named('OffsiteTune', 'b'), named('PlugIn', 'c'));
  expect(told(routesToAll(caches))).toEqual(['EmulatorBuild team/a', 'OffsiteTune team/b', 'PlugIn team/c']);
});
