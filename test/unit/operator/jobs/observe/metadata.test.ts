/** Metadata that only fills memory: the API server bounds labels and owner references by the object's size alone. */
import { describe, expect, it } from 'vitest';
import { byOwner, isOwnJob, ownerKey } from '../../../../../operator/jobs/index.ts';
import type { Job } from '../../../../../operator/jobs/objects.ts';
import { withoutHugeMetadata } from '../../../../../operator/jobs/observe/metadata.ts';
import { writesOf } from '../../../../../operator/jobs/outputs.ts';
import { sizeProblems } from '../../../../../operator/jobs/spec/check.ts';
import type { KubeObject, ObjectMeta } from '../../../../../operator/runtime/index.ts';
import { resource, World } from '../../../../support/unit/operator/fixtures.ts';
import { cachesOf } from '../../../../support/unit/operator/observing.ts';

const words = (count: number, prefix = '') =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}w${i}`, '']));
/** As many as an object of 1.5 MB holds, beside their managedFields. */
const most = words(68_000);
const many = words(9000);

const owners = (count: number, kind: string) =>
  Array.from({ length: count }, (_, i) => ({ apiVersion: 'v1', kind, name: 'a', uid: `${i}` }));

const having = <T extends KubeObject>(object: T, metadata: Partial<ObjectMeta>): T => ({
  ...object,
  metadata: { ...object.metadata, ...metadata },
});

/** Much before what is read, and some after it. */
const filled = <T extends KubeObject>(object: T, labels = many): T =>
  having(object, {
    labels: { ...labels, ...object.metadata.labels, late: '' },
    annotations: { late: '', ...object.metadata.annotations },
    ownerReferences: [
      ...owners(1000, 'ReplicaSet'),
      ...(object.metadata.ownerReferences ?? []),
      ...owners(1000, 'Other'),
    ],
    finalizers: Object.keys(words(1000, 'a.b/')),
  });

const queued = {
  labels: { 'kueue.x-k8s.io/queue-name': 'gpus', 'kueue.x-k8s.io/priority-class': 'high' },
  annotations: { 'offsite-tuning.dev/model-size': '15Gi' },
};

describe('metadata with labels by the thousand', () => {
  it('costs no more memory than with a few, of resources, Jobs and pods, which are found all the same', async () => {
    const own = new World(resource('EmulatorBuild', queued)).run().start('probe');
    const ending = new AbortController();
    const objects = [own.object, ...own.jobs, ...own.pods];
    const caches = await cachesOf(
      objects.map((object) => filled(object)),
      ending.signal,
    );
    ending.abort();
    const resources = caches.resources.EmulatorBuild;
    for (const object of [...resources.list(), ...caches.jobs.list(), ...caches.pods.list()])
      expect(JSON.stringify(object).length).toBeLessThan(4000);
    const [job] = caches.jobs.byIndex(byOwner, ownerKey('team', own.object.metadata.uid ?? ''));
    const [pod] = caches.pods.byIndex(byOwner, ownerKey('team', job?.metadata.uid ?? ''));
    expect(pod?.metadata.name).toBe(own.pods[0]!.metadata.name);

    const [cached] = resources.list();
    expect(isOwnJob(job!, cached!)).toBe(true);
    const world = new World(cached!);
    world.jobs = caches.jobs.list();
    world.pods = caches.pods.list();
    // The Job is the resource's as it is: nothing is made again.
    expect(world.run().writes).toEqual(['status Running']);
  });

  it('of 68,000 changes no decision: the queue and the size that the resource names are heard, and its end', () => {
    const usual = resource('EmulatorBuild', queued);
    const kept = withoutHugeMetadata(filled(usual, most));
    expect(JSON.stringify(kept).length).toBeLessThan(1000);
    const job = (object: KubeObject) => new World(object).run().job('probe');
    expect(job(kept)).toEqual(job(usual));
    expect(job(kept).metadata.labels).toMatchObject(queued.labels);
    const wrong = { 'offsite-tuning.dev/model-size': '1'.repeat(100_000) };
    expect(sizeProblems(withoutHugeMetadata(resource('PlugIn', { annotations: wrong })))).toEqual([
      {
        field: 'metadata.annotations[offsite-tuning.dev/model-size]',
        reason: 'must be a quantity in quotes, such as "15Gi"',
      },
    ]);
    const going = filled(resource('EmulatorBuild', { deleted: true, generation: 7 }));
    expect(withoutHugeMetadata(going).metadata).toMatchObject({
      generation: 7,
      resourceVersion: '1',
      deletionTimestamp: '2026-01-01T00:00:00Z',
    });
  });

  it('is bounded where the labels are a queue’s and the owners ours, too', () => {
    const object = having(resource('EmulatorBuild'), {
      labels: { ...words(9000, 'kueue.x-k8s.io/'), ...queued.labels },
      ownerReferences: [
        ...owners(1000, 'Job'),
        { apiVersion: 'v1', kind: 'x'.repeat(100_000), name: 'a', uid: 'b' },
        { apiVersion: 'v1', kind: 'Job', name: 'its', uid: 'c', controller: true },
      ],
    });
    const { labels = {}, ownerReferences = [] } = withoutHugeMetadata(object).metadata;
    expect(Object.keys(labels)).toHaveLength(65);
    expect(labels['kueue.x-k8s.io/queue-name']).toBe('gpus');
    expect(ownerReferences).toHaveLength(9);
    expect(ownerReferences[0]?.uid).toBe('0');
    expect(ownerReferences.at(-1)).toMatchObject({ name: 'its', controller: true });
  });
});

it('metadata of normal size is kept as it is, with what only people read', () => {
  const usual = having(resource('EmulatorBuild', queued), {
    labels: { ...words(500), ...queued.labels },
    finalizers: ['example.com/hold'],
  });
  expect(withoutHugeMetadata(usual)).toBe(usual);
});

it.each(['Job', 'Pod'])(
  'of a %s any long text, in whatever field, costs no more than a short one',
  async (kind) => {
    const own = new World(resource('EmulatorBuild')).run().start('probe');
    const usual = structuredClone(kind === 'Job' ? own.jobs[0]! : own.pods[0]!);
    const long = 'x'.repeat(1_000_000);
    const told = JSON.stringify({ resource: { spec: { output: { uri: `pvc://c/${long}` } } } });
    const worker = { name: 'worker', env: [{ name: 'OFFSITE_JOB', value: told }] };
    const podSpec = (more: object) => (kind === 'Job' ? { template: { spec: more } } : more);
    const changed: [string, KubeObject][] = [
      ['output', { ...usual, spec: podSpec({ containers: [worker] }) }],
      ['image', { ...usual, spec: podSpec({ containers: [{ name: 'worker', image: long }] }) }],
      ['node', { ...usual, spec: { nodeName: long } }],
      ['status', { ...usual, status: { message: long, conditions: [{ type: 'Failed', status: long }] } }],
      ['annotation', having(usual, { annotations: { a: long } })],
      ['owner', having(usual, { ownerReferences: [{ apiVersion: long, kind: 'Job', name: 'a', uid: 'b' }] })],
      ['field', { ...usual, anything: long }],
    ];
    for (const [what, object] of changed) {
      const ending = new AbortController();
      const caches = await cachesOf([object], ending.signal);
      ending.abort();
      const [kept] = kind === 'Job' ? caches.jobs.list() : caches.pods.list();
      expect(kept?.metadata.name, what).toBe(usual.metadata.name);
      expect(JSON.stringify(kept).length, what).toBeLessThan(40_000);
      expect(writesOf(kept!), what).toBe(writesOf(object as Job));
      if (what === 'output') expect(writesOf(kept!)).toBeUndefined();
    }
  },
);

describe('a pod of ours that is larger than any usual one', () => {
  const own = new World(resource('EmulatorBuild')).run().start('probe');
  const [job] = own.jobs;
  const usual = own.pods[0]!;
  const beside = Array.from({ length: 80 }, (_, i) => ({
    name: `sidecar-${i}`,
    image: `registry.example.com/${'x'.repeat(400)}`,
    state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
  }));
  const resources = { requests: { memory: '5Gi' }, limits: { memory: '6Gi' } };
  const kept = async (status: object) => {
    const ending = new AbortController();
    const containers = [...beside.map(({ name, image }) => ({ name, image })), { name: 'worker', resources }];
    const whole = { ...usual, spec: { ...usual.spec, containers }, status };
    expect(JSON.stringify(whole).length).toBeGreaterThan(50_000);
    const caches = await cachesOf([job!, whole as KubeObject], ending.signal);
    ending.abort();
    return caches.pods.list()[0]!;
  };

  it('says how it goes: phase, conditions, node, and that its worker runs', async () => {
    const running = { name: 'worker', state: { running: { startedAt: '2026-01-01T00:00:05Z' } } };
    const conditions = [
      { type: 'PodScheduled', status: 'True' },
      { type: 'Ready', status: 'False', reason: 'ContainersNotReady', message: 'm'.repeat(1000) },
      { type: 'Other', status: 'True', reason: 'r'.repeat(1000) },
    ];
    const pod = await kept({ phase: 'Running', conditions, containerStatuses: [...beside, running] });
    expect(pod.status).toEqual({
      phase: 'Running',
      conditions: [conditions[0], { type: 'Ready', status: 'False', reason: 'ContainersNotReady' }],
      containerStatuses: [running],
    });
    expect(pod.spec).toEqual({ nodeName: 'node-1', containers: [{ name: 'worker', resources }] });
  });

  it('ends with its worker’s own word, whatever signs it is full of', async () => {
    const message = JSON.stringify({
      ok: false,
      reason: 'BadData',
      exitCode: 11,
      message: '\u0001'.repeat(1900),
    });
    const times = { startedAt: '2026-01-01T00:05:00Z', finishedAt: '2026-01-01T00:10:00Z' };
    const terminated = { exitCode: 11, reason: 'Error', ...times, message };
    const worker = { name: 'worker', containerID: 'containerd://0', restartCount: 0, state: { terminated } };
    const pod = await kept({
      phase: 'Failed',
      containerStatuses: [...beside, worker],
    });
    expect(pod.status?.phase).toBe('Failed');
    expect(pod.status?.containerStatuses).toEqual([worker]);
    const world = new World(own.object);
    world.jobs = [job!];
    world.pods = [pod];
    world.jobIs('probe', 'Failed', { reason: 'PodFailurePolicy' }).run();
    expect(world.holding).toEqual(['Failed/BadData']);
  });

  it('keeps of its Job how far it is', async () => {
    const conditions = [{ type: 'Complete', status: 'True', lastTransitionTime: '2026-01-01T00:10:00Z' }];
    const whole = { ...job!, spec: { ...job!.spec, completions: 4, suspend: false } };
    const status = { succeeded: 4, conditions, uncountedTerminatedPods: { failed: ['x'.repeat(100_000)] } };
    const ending = new AbortController();
    const caches = await cachesOf([{ ...whole, status }], ending.signal);
    ending.abort();
    const [found] = caches.jobs.list();
    expect(found?.status).toEqual({ succeeded: 4, conditions });
    expect(found?.spec).toMatchObject({ completions: 4, suspend: false });
  });
});

it('containers of a pod cost no more than a few do, however many quantities and names they have', async () => {
  const own = new World(resource('EmulatorBuild')).run().start('probe');
  const [pod] = own.pods;
  const quantities = { ...words(5000, 'example.com/'), memory: '5Gi' };
  const worker = {
    name: 'worker',
    image: 'worker:1',
    resources: { requests: quantities, limits: quantities },
  };
  const beside = Array.from({ length: 5000 }, (_, i) => ({ name: `c${i}`, image: 'a' }));
  const containersOf = async (containers: unknown[]) => {
    const ending = new AbortController();
    const { pods } = await cachesOf([{ ...pod!, spec: { containers } }], ending.signal);
    ending.abort();
    return pods.list()[0]?.spec?.containers;
  };
  const resources = { requests: { memory: '5Gi' }, limits: { memory: '5Gi' } };
  expect(await containersOf([worker, beside[0]])).toEqual([
    { name: 'worker', image: 'worker:1', resources },
    { name: 'c0', image: 'a' },
  ]);
  expect(await containersOf([...beside, worker])).toEqual([{ name: 'worker', resources }]);
});
