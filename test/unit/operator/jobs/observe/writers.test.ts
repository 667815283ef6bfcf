/** No two pods ever write to one place: what may still write there is found across uids, names and labels, and waited for. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Entrances,
  Notes,
  type Observed,
  observe,
  Recent,
  writesAlone,
  writesOf,
} from '../../../../../operator/jobs/index.ts';
import type { Job, Pod } from '../../../../../operator/jobs/objects.ts';
import { rulesFor } from '../../../../../operator/kinds.ts';
import { routesOfRun } from '../../../../../operator/routes.ts';
import type { ApiClient, KubeObject } from '../../../../../operator/runtime/index.ts';
import { addressOf, type Kind } from '../../../../../src/api/index.ts';
import { completed, ended, pod, resource, World } from '../../../../support/unit/operator/fixtures.ts';
import { cachesOf } from '../../../../support/unit/operator/observing.ts';

let ending: AbortController;
beforeEach(() => {
  ending = new AbortController();
});
afterEach(() => ending.abort());

const api = { list: async () => ({ items: [], metadata: {} }) } as unknown as ApiClient;

/** What the operator sees of the world's resource beside these objects. */
async function observed(world: World, ...beside: KubeObject[]): Promise<Observed> {
  const caches = await cachesOf([world.object, ...world.jobs, ...world.pods, ...beside], ending.signal);
  const { kind, metadata } = world.object;
  const seen = await observe(rulesFor(kind as Kind), `${metadata.namespace}/${metadata.name}`, {
    ...{ client: api, caches, recent: new Recent(), notes: new Notes(api), clock: () => world.now.getTime() },
    connected: () => undefined,
    heardMilliseconds: () => undefined,
  });
  return seen!.observed;
}

/** The world with what the operator sees of others in it. */
async function beside(world: World, ...others: KubeObject[]): Promise<World> {
  const { jobs, pods, others: found } = await observed(world, ...others);
  Object.assign(world, { jobs, pods, others: found });
  return world;
}

const tune = (changes: Parameters<typeof resource>[1] = {}) => {
  const world = new World(resource('OffsiteTune', changes));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world;
};
const uids = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.uid).sort();
const changed = <T extends KubeObject>(object: T, metadata: object): T => ({
  ...object,
  metadata: { ...object.metadata, ...metadata },
});

/** A run of another uid of the same name, at work. */
function earlier(changes: Parameters<typeof resource>[1] = {}) {
  const world = tune({ uid: 'uid-before', ...changes })
    .run()
    .start('tune');
  const job = changed(world.job('tune'), { uid: 'job-before' }) as Job;
  const own = changed(world.pods[0]!, {
    uid: 'pod-before',
    ownerReferences: [{ ...world.pods[0]!.metadata.ownerReferences![0]!, uid: 'job-before' }],
  }) as Pod;
  return { job, pod: own };
}

describe('what an earlier resource of the same name left', () => {
  it('is waited for, with the command that ends it, and then the Job is made', async () => {
    const before = earlier();
    const world = (await beside(tune(), before.job, before.pod)).run();
    expect(world.holding).toEqual(['Waiting/LeftoverRunning']);
    expect(world.message('Waiting')).toBe(
      'waits for what is left of an earlier OffsiteTune words to end: ' +
        `Job ${before.job.metadata.name}, Pod ${before.pod.metadata.name}; ` +
        `to end it at once: kubectl delete job ${before.job.metadata.name} --namespace team`,
    );
    expect(world.jobs).toEqual([]);
    expect(world.decide().lookAgainMilliseconds).toBe(30_000);
    // The Job is gone, its pod still ends.
    expect((await beside(world, before.pod)).run().jobs).toEqual([]);
    expect(world.message('Waiting')).toContain(
      `kubectl delete pod ${before.pod.metadata.name} --namespace team`,
    );
    const gone = ended(before.pod, { exitCode: 143 });
    expect((await beside(world, gone)).run().jobs).toHaveLength(1);
    expect(world.holding).toEqual([]);
  });

  it('after --cascade=orphan, which takes the owner away, is found by its labels', async () => {
    const { job, pod: own } = earlier();
    const orphan = changed(job, { ownerReferences: [] });
    expect(uids((await observed(tune(), orphan, own)).others)).toEqual(['job-before', 'pod-before']);
  });

  it('without labels too is found by the output that it was told', async () => {
    const { pod: own } = earlier();
    const { spec } = (tune().run().job('tune').spec?.['template'] ?? {}) as { spec: Pod['spec'] };
    const bare = { ...changed(own, { labels: {}, ownerReferences: [] }), spec: { ...own.spec!, ...spec } };
    const world = (await beside(tune(), bare)).run();
    expect(world.holding).toEqual(['Waiting/OutputInUse']);
  });

  it('on a lost node says so', async () => {
    const { pod: own } = earlier();
    const lost = changed(own, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    const world = (await beside(tune().wait(31_000), lost)).run();
    expect(world.holding).toEqual(['Waiting/NodeLost']);
  });

  it('and can write no more is not waited for: finished Jobs, pods whose worker has ended', async () => {
    const { job, pod: own } = earlier();
    const finished = { ...job, status: { conditions: [{ type: 'Failed', status: 'True' }] } };
    const lingering = ended(own, { exitCode: 0 });
    const running = { ...lingering, status: { ...lingering.status, phase: 'Running' } };
    expect((await observed(tune(), finished, running)).others).toEqual([]);
  });
});

describe('another resource with the same output', () => {
  const build = (uri: string, changes: Parameters<typeof resource>[1] = {}) =>
    new World(
      resource('EmulatorBuild', { name: 'other', uid: 'uid-other', spec: { output: { uri } }, ...changes }),
    );

  it.each([
    'pvc://artifacts/words-adapter',
    'pvc://artifacts//words-adapter/',
    'pvc://artifacts/./words-adapter',
  ])('as %s is waited for, and named', async (uri) => {
    const other = build(uri).run();
    const world = (await beside(tune(), ...other.jobs)).run();
    expect(world.holding).toEqual(['Waiting/OutputInUse']);
    expect(world.message('Waiting')).toBe(
      `spec.output.uri: EmulatorBuild other writes there (Job ${other.job('probe').metadata.name}), and this waits ` +
        'until it has ended: give each resource an output of its own',
    );
  });

  const deep = { spec: { output: { uri: 'pvc://artifacts/words/round/adapter' } } };
  it.each([
    'pvc://artifacts/words/round/adapter/nested/deep',
    'pvc://artifacts/words/',
    'pvc://artifacts//words/./round',
  ])('that lies inside or around, as %s, is waited for, too', async (uri) => {
    const other = build(uri).run();
    const world = (await beside(tune(deep), ...other.jobs)).run();
    expect([world.holding, world.jobs]).toEqual([['Waiting/OutputInUse'], []]);
    expect(world.message('Waiting')).toContain(
      `EmulatorBuild other writes to ${addressOf(uri)}, and one lies inside the other (Job ${other.job('probe').metadata.name})`,
    );
    const known = await cachesOf([world.object, ...other.jobs], ending.signal);
    expect(routesOfRun([other.job('probe')], known)).toContainEqual({
      kind: 'OffsiteTune',
      key: 'team/words',
    });
  });

  it.each(['pvc://artifacts/words/round/adapter/nested', 'pvc://artifacts/words'])(
    'as %s cannot make its Job at the same moment',
    async (uri) => {
      const [one, other] = [tune(deep).object, build(uri).run()];
      const recent = new Recent();
      const caches = await cachesOf([one, other.object], ending.signal);
      const entrances = new Entrances((object) => writesAlone(object, caches, recent));
      const leave = entrances.enter(other.object);
      expect(entrances.enter(one)).toBeUndefined();
      recent.created(other.job('probe'));
      leave?.();
      expect(entrances.enter(one)).toBeUndefined();
    },
  );

  it('that has ended, has another output, or is in another namespace is not', async () => {
    const same = build('pvc://artifacts/words-adapter').run().jobIs('probe', 'Complete');
    const others = build('pvc://artifacts/words-adapter-2').run();
    const elsewhere = changed(build('pvc://artifacts/words-adapter').run().job('probe'), { namespace: 'b' });
    expect((await observed(tune(), ...same.jobs, ...others.jobs, elsewhere)).others).toEqual([]);
  });

  it('keeps a second stage waiting, too', async () => {
    const world = new World(resource('EmulatorBuild')).run().start('probe').done('probe');
    const other = earlier({ name: 'other', spec: { output: { uri: 'pvc://artifacts/words-emulator' } } });
    expect((await beside(world, other.job)).run().holding).toEqual(['Waiting/OutputInUse']);
    expect(world.status.phase).toBe('Running');
    expect((await beside(world)).run().jobs).toHaveLength(2);
  });

  it('cannot make its Job at the same moment', async () => {
    const [one, other] = [tune().object, build('pvc://artifacts/words-adapter').run()];
    const recent = new Recent();
    const caches = await cachesOf([one, other.object], ending.signal);
    const entrances = new Entrances((object) => writesAlone(object, caches, recent));
    const leave = entrances.enter(other.object);
    expect(entrances.enter(one)).toBeUndefined();
    recent.created(other.job('probe'));
    leave?.();
    // The cache does not show it yet.
    expect(entrances.enter(one)).toBeUndefined();
    expect(entrances.enter(other.object)).toBeDefined();
    recent.seen(other.job('probe'));
    expect(entrances.enter(resource('EmulatorBuild'))).toBeDefined();
  });
});

describe('labels are not trusted', () => {
  it('an attempt that is forged, taken off or nonsense changes none', async () => {
    for (const value of ['7', '999999999999', 'x', undefined]) {
      const world = tune().run().start('tune').run();
      const labels = { ...world.job('tune').metadata.labels, 'offsite-tuning.dev/attempt': value };
      world.jobs = world.jobs.map((job) => changed(job, { labels }) as Job);
      expect((await beside(world)).run().status).toMatchObject({ phase: 'Running', attempt: 1 });
      expect(world.jobs).toHaveLength(1);
    }
  });

  it('a Job and its pods are own by owner and name, with other labels or with none', async () => {
    const world = tune().run().start('tune').run();
    world.jobs = world.jobs.map((job) => changed(job, { labels: {} }) as Job);
    world.pods = world.pods.map((own) => changed(own, { labels: {} }) as Pod);
    const { jobs, pods, others } = await observed(world);
    expect([uids(jobs), uids(pods), others]).toEqual([['job-1'], uids(world.pods), []]);
  });

  it('a Job that only says that it is own says nothing about how the work went', async () => {
    const world = tune().run().start('tune').run();
    const labels = { ...world.job('tune').metadata.labels };
    const forged = changed(world.job('tune'), {
      uid: 'forged',
      name: 'x-tune-0123456789-2',
      labels,
      ownerReferences: [],
    });
    const failed = { ...forged, status: { conditions: [{ type: 'Failed', status: 'True' }] } };
    expect((await beside(world, failed)).run().status).toMatchObject({ phase: 'Running', attempt: 1 });
  });

  it('an owner that is forged moves the attempts on by so many at most, and fails nothing for good', async () => {
    const world = tune().run().start('tune').run();
    const forged = (attempt: number) =>
      changed(world.job('tune'), { uid: `forged-${attempt}`, name: `words-tune-0123456789-${attempt}` });
    expect((await beside(world, forged(999_999_999))).run().status).toMatchObject({ attempt: 1 });
    world.jobs = world.jobs.filter(({ metadata }) => metadata.uid === 'job-1');
    await beside(world, changed(forged(500), { annotations: {} }));
    expect(world.run().status).toMatchObject({ phase: 'Pending', attempt: 501 });
    expect(
      world
        .collect()
        .run()
        .jobs.map(({ metadata }) => metadata.name),
    ).toEqual([expect.stringMatching(/-501$/)]);
  });
});

it('where a Job and a pod write is read from what the worker is told, and kept in the cache', async () => {
  const job = tune().run().job('tune');
  expect(writesOf(job)).toBe('pvc://artifacts/words-adapter');
  const { spec } = (job.spec?.['template'] ?? {}) as { spec: Pod['spec'] };
  const own = { ...pod(job), spec: { ...spec, nodeName: 'node-1' } } as Pod;
  expect(writesOf(own)).toBe('pvc://artifacts/words-adapter');
  const caches = await cachesOf([job, own], ending.signal);
  expect([...caches.jobs.list(), ...caches.pods.list()].map(writesOf)).toEqual([
    'pvc://artifacts/words-adapter',
    'pvc://artifacts/words-adapter',
  ]);
  expect(writesOf(pod(job))).toBeUndefined();
});
