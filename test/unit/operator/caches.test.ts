import { expect, it } from 'vitest';
import { byOwner, type Caches, openCaches, ownerKey } from '../../../operator/jobs/index.ts';
import {
  type ApiClient,
  type KubeObject,
  type ResourceType,
  RuntimeMetrics,
} from '../../../operator/runtime/index.ts';
import { pod, resource, World } from './fixtures.ts';

/** Caches over an API server that lists these objects, by kind, and says nothing more. */
async function cachesOf(objects: readonly KubeObject[], signal: AbortSignal): Promise<Caches> {
  const client = {
    list: async ({ kind }: ResourceType) => ({
      items: structuredClone(objects.filter((object) => object.kind === kind)),
      metadata: { resourceVersion: '1' },
    }),
    async *watch() {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  } as unknown as ApiClient;
  const caches = openCaches(client, [], new RuntimeMetrics());
  for (const cache of [caches.jobs, caches.pods]) void cache.start(signal);
  await Promise.all([caches.jobs.synced, caches.pods.synced]);
  return caches;
}

it('Jobs and pods of another namespace are not a resource’s own, whatever their labels say', async () => {
  const own = new World(resource('EmulatorBuild')).run().start('probe');
  const elsewhere = [...own.jobs, ...own.pods].map((object) => ({
    ...object,
    metadata: { ...object.metadata, namespace: 'strangers', uid: `forged-${object.metadata.uid}` },
  }));
  const ending = new AbortController();
  const { jobs, pods } = await cachesOf([...own.jobs, ...own.pods, ...elsewhere], ending.signal);
  const owner = ownerKey('team', own.object.metadata.uid ?? '');
  expect(jobs.byIndex(byOwner, owner).map(({ metadata }) => metadata.uid)).toEqual(['job-1']);
  expect(pods.byIndex(byOwner, owner).map(({ metadata }) => metadata.uid)).toEqual([
    pod(own.job('probe')).metadata.uid,
  ]);
  ending.abort();
});
