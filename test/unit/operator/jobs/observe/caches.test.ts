import { describe, expect, it, vi } from 'vitest';
import { byOwner, openCaches, ownerKey } from '../../../../../operator/jobs/index.ts';
import {
  type ApiClient,
  ApiError,
  type ResourceType,
  RuntimeMetrics,
} from '../../../../../operator/runtime/index.ts';
import { pod, resource, World } from '../../../../support/unit/operator/fixtures.ts';
import { cachesOf } from '../../../../support/unit/operator/observing.ts';

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
  expect(pods.byIndex(byOwner, ownerKey('team', 'job-1')).map(({ metadata }) => metadata.uid)).toEqual([
    pod(own.job('probe')).metadata.uid,
  ]);
  ending.abort();
});

it('a list comes in pages that fit into memory, however large each object is', async () => {
  const limits: Record<string, number | undefined> = {};
  const client = {
    list: async ({ plural }: ResourceType, { limit }: { limit?: number }) => {
      limits[plural] = limit;
      return { items: [], metadata: { resourceVersion: '1' } };
    },
    async *watch(_: ResourceType, { signal }: { signal: AbortSignal }) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  } as unknown as ApiClient;
  const ending = new AbortController();
  const { resources, jobs, pods } = openCaches(client, [], new RuntimeMetrics());
  const all = [...Object.values(resources), jobs, pods];
  for (const cache of all) void cache.start(ending.signal);
  await Promise.all(all.map(({ synced }) => synced));
  ending.abort();
  // Some 10 MB of resources each, 20 MB of text of Jobs and pods, all lists at a time, below a limit of 512Mi.
  expect(limits).toEqual({ emulatorbuilds: 5, offsitetunes: 5, plugins: 5, jobs: 10, pods: 10 });
});

describe('several namespaces, one of which is gone and our rights with it', () => {
  const refused = new ApiError('list Job: forbidden', { status: 403, reason: 'Forbidden' });

  function jobsOf(namespaces: string[], signal: AbortSignal) {
    const back = Promise.withResolvers<void>();
    let isBack = false;
    void back.promise.then(() => {
      isBack = true;
    });
    const client = {
      list: async (_: ResourceType, { namespace }: { namespace: string }) => {
        if (namespace === 'gone' && !isBack) throw refused;
        return { items: [], metadata: { resourceVersion: '1' } };
      },
      async *watch(_: ResourceType, { signal: until }: { signal: AbortSignal }) {
        await new Promise((resolve) => until.addEventListener('abort', resolve));
      },
    } as unknown as ApiClient;
    const { jobs } = openCaches(client, namespaces, new RuntimeMetrics());
    void jobs.start(signal);
    return { jobs, comeBack: back.resolve };
  }

  it('the others are ready; it is not covered until it is there', async () => {
    const ending = new AbortController();
    const { jobs, comeBack } = jobsOf(['here', 'gone'], ending.signal);
    await jobs.synced;
    expect(jobs.hasSynced).toBe(true);
    expect([jobs.covers('here'), jobs.covers('gone'), jobs.covers('elsewhere')]).toEqual([
      true,
      false,
      false,
    ]);
    await jobs.refresh();
    comeBack();
    await vi.waitFor(() => expect(jobs.covers('gone')).toBe(true), 10_000);
    ending.abort();
  });

  it('where all are refused, nothing is ready, and it ends when told', async () => {
    const ending = new AbortController();
    const { jobs } = jobsOf(['gone'], ending.signal);
    await jobs.refresh();
    expect(jobs.hasSynced).toBe(false);
    ending.abort(new Error('told to end'));
    await expect(jobs.synced).rejects.toThrow('told to end');
  });
});
