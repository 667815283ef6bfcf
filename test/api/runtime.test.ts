import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  ApiError,
  configMaps,
  EventRecorder,
  events,
  Informer,
  type InformerOptions,
  isConflict,
  isGone,
  isNotFound,
  type KubeObject,
  LeaderElection,
  leases,
  type ResourceType,
  RuntimeMetrics,
} from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, eventually } from '../support/api/api-server.ts';

const quiet = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
let server: ApiServer;
let stop: AbortController;
beforeAll(async () => {
  server = await ApiServer.start();
}, 900_000);
afterAll(() => server?.stop());
beforeEach(() => {
  stop = new AbortController();
});
afterEach(() => stop.abort());

const configMap = (namespace: string, name: string, data: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});
const put = (namespace: string, name: string, value: string) =>
  server.client.apply(configMaps, configMap(namespace, name, { value }), {
    fieldManager: 'test',
    force: true,
  });
const failureOf = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};

function follow(type: ResourceType, options: InformerOptions<KubeObject> = {}) {
  const metrics = new RuntimeMetrics();
  const informer = new Informer(server.client, type, {
    log: quiet,
    metrics,
    backoff: { first: 100, longest: 1000 },
    ...options,
  });
  const story: string[] = [];
  informer.onChange((object, old) => {
    const { name } = (object ?? old)!.metadata;
    story.push(`${old ? (object ? '' : '-') : '+'}${name}`);
  });
  void informer.start(stop.signal);
  const lists = async () => (await metrics.lists.get()).values[0]?.value ?? 0;
  return { informer, story, lists };
}
const dataOf = (object: KubeObject | undefined) =>
  (object?.['data'] as Record<string, string> | undefined)?.['value'];

describe('server-side apply', () => {
  it('names the field and the owner in a conflict, and force takes the field over', async () => {
    const namespace = await server.namespace();
    const apply = (fieldManager: string, data: Record<string, string>, force = false) =>
      server.client.apply<KubeObject>(configMaps, configMap(namespace, 'a', data), { fieldManager, force });
    await apply('offsite-operator', { ours: '1', shared: '1' });
    const error = await failureOf(apply('offsite-progress', { shared: '2' }));
    expect(isConflict(error)).toBe(true);
    expect(error.message).toContain('.data.shared');
    expect(error.message).toContain('offsite-operator');
    await apply('offsite-progress', { shared: '2' }, true);
    const after = await apply('offsite-operator', {});
    // What an owner no longer states goes; what another owns stays.
    expect(after['data']).toEqual({ shared: '2' });
  });

  it('keeps status and spec apart, and two owners in one status', async () => {
    const namespace = await server.namespace();
    const head = { apiVersion: 'offsite-tuning.dev/v1alpha1', kind: 'EmulatorBuild' };
    const metadata = { name: 'words', namespace };
    const spec = {
      model: { uri: 'pvc://models/smollm2' },
      probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' } },
      strategy: 'uniform',
      layers: 15,
      output: { uri: 'pvc://artifacts/words' },
    };
    const missing = { ...head, metadata, status: { phase: 'Pending' } };
    const operator = { fieldManager: 'offsite-operator' };
    expect(isNotFound(await failureOf(server.client.applyStatus(emulatorBuilds, missing, operator)))).toBe(
      true,
    );
    await server.client.create(emulatorBuilds, { ...head, metadata, spec, status: { phase: 'Complete' } });
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'Tested',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
      observedGeneration: 1,
    });
    const status = (more: object) => ({ ...head, metadata, status: more });
    await server.client.applyStatus(
      emulatorBuilds,
      status({ phase: 'Running', conditions: [condition('Suspended')] }),
      operator,
    );
    const both = await server.client.applyStatus<KubeObject>(
      emulatorBuilds,
      status({
        progress: {
          stage: 'probe',
          progressPercentage: 50,
          metrics: [],
          lastUpdatedTime: '2026-01-01T00:00:00Z',
        },
        conditions: [condition('NatsAvailable')],
      }),
      { fieldManager: 'offsite-progress' },
    );
    expect(both['status']).toMatchObject({
      phase: 'Running',
      progress: { stage: 'probe', progressPercentage: 50 },
      conditions: [{ type: 'Suspended' }, { type: 'NatsAvailable' }],
    });
    expect(both['spec']).toEqual(spec);
    expect(both.metadata.generation).toBe(1);
  });

  it('holds to a precondition when it deletes', async () => {
    const namespace = await server.namespace();
    const made = await server.client.create(configMaps, configMap(namespace, 'a', {}));
    const wrong = server.client.delete(configMaps, namespace, 'a', { preconditions: { uid: 'another' } });
    expect(isConflict(await failureOf(wrong))).toBe(true);
    await server.client.delete(configMaps, namespace, 'a', { preconditions: { uid: made.metadata.uid! } });
    expect(isNotFound(await failureOf(server.client.get(configMaps, namespace, 'a')))).toBe(true);
  });
});

describe('an informer', () => {
  it('reads many pages and then follows', async () => {
    const namespace = await server.namespace();
    const names = Array.from({ length: 230 }, (_, i) => `n${i}`);
    await Promise.all(names.map((name) => put(namespace, name, '1')));
    const { informer, story, lists } = follow(configMaps, { namespace, pageSize: 50 });
    await informer.synced;
    expect(informer.list()).toHaveLength(230);
    expect(informer.get(namespace, 'n7')!.metadata).not.toHaveProperty('managedFields');
    story.length = 0;
    await put(namespace, 'n7', '2');
    await server.client.delete(configMaps, namespace, 'n8');
    await server.client.delete(configMaps, namespace, 'n9');
    await put(namespace, 'n9', '3');
    await eventually('all is heard', () => story.length === 4);
    expect(story).toEqual(['n7', '-n8', '-n9', '+n9']);
    expect(await lists()).toBe(1);
  });

  it('goes on when the API server restarts or crashes, without reading the list again', async () => {
    const namespace = await server.namespace();
    await put(namespace, 'a', '1');
    const { informer, lists } = follow(configMaps, { namespace });
    await informer.synced;
    await server.plane.restart();
    await put(namespace, 'a', '2');
    await eventually('a change after the restart', () => dataOf(informer.get(namespace, 'a')) === '2');
    await server.plane.restart({ crash: true, downMs: 1000 });
    await put(namespace, 'a', '3');
    await eventually('a change after the crash', () => dataOf(informer.get(namespace, 'a')) === '3');
    // A server that has just started may not know the version yet and then is asked for the list, seldom more than once.
    expect(await lists()).toBeLessThanOrEqual(8);
  });

  it('notices an API server that hangs, and what it did afterwards', async () => {
    const namespace = await server.namespace();
    const { informer } = follow(configMaps, { namespace, silenceMilliseconds: 2000 });
    await informer.synced;
    server.freeze();
    try {
      await sleep(4000);
    } finally {
      server.thaw();
    }
    await eventually('it answers', () => put(namespace, 'a', '1').then(() => true));
    await eventually('the change is seen', () => informer.get(namespace, 'a') !== undefined);
  });

  it('shows an object again whose label was taken off and put back', async () => {
    const namespace = await server.namespace();
    const label = (mark: string | null) =>
      server.client.merge(configMaps, namespace, 'a', { metadata: { labels: { mark } } });
    await put(namespace, 'a', '1');
    await label('yes');
    const { informer, story, lists } = follow(configMaps, { namespace, labelSelector: 'mark=yes' });
    await informer.synced;
    for (let round = 1; round <= 3; round++) {
      await label(null);
      await label('yes');
      await eventually('it is shown again', () => story.length === 2 * round + 1);
    }
    expect(story).toEqual(['+a', '-a', '+a', '-a', '+a', '-a', '+a']);
    expect(await lists()).toBe(1);
  });

  it('reads the list afresh while it watches, and misses nothing of what happens meanwhile', async () => {
    const namespace = await server.namespace();
    const { informer, lists } = follow(configMaps, { namespace });
    await informer.synced;
    const writing = Array.from({ length: 40 }, (_, i) => put(namespace, `n${i % 20}`, `${i}`));
    for (let i = 0; i < 3; i++) await informer.refresh();
    await Promise.all(writing);
    await informer.refresh();
    expect(await lists()).toBe(5);
    await put(namespace, 'n0', 'last');
    await eventually('the last is seen', () => dataOf(informer.get(namespace, 'n0')) === 'last');
    const { items } = await server.client.list(configMaps, { namespace });
    const versions = (objects: KubeObject[]) =>
      Object.fromEntries(objects.map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
    expect(versions(informer.list())).toEqual(versions(items));
  });

  it('waits for rights that it does not have yet', async () => {
    const namespace = await server.namespace();
    await put(namespace, 'a', '1');
    const kubeconfig = server.plane.kubeconfigFor('stranger', 'stranger');
    const stranger = server.clientWith({}, kubeconfig);
    expect((await failureOf(stranger.list(configMaps, { namespace }))).reason).toBe('Forbidden');
    const informer = new Informer(stranger, configMaps, {
      namespace,
      log: quiet,
      backoff: { first: 50, longest: 200 },
    });
    void informer.start(stop.signal);
    const rbac = (plural: string, kind: string): ResourceType => ({
      group: 'rbac.authorization.k8s.io',
      version: 'v1',
      plural,
      kind,
      namespaced: true,
    });
    const head = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'reader', namespace } };
    await server.client.create(rbac('roles', 'Role'), {
      ...head,
      kind: 'Role',
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'] }],
    });
    await server.client.create(rbac('rolebindings', 'RoleBinding'), {
      ...head,
      kind: 'RoleBinding',
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'User', name: 'stranger', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    await informer.synced;
    expect(informer.list().some(({ metadata }) => metadata.name === 'a')).toBe(true);
  });

  it('waits for a kind that is not installed yet', async () => {
    const later = { ...emulatorBuilds, group: 'later.dev', plural: 'laters', kind: 'Later' };
    const { informer } = follow(later);
    await vi.waitFor(
      () =>
        expect(quiet.warn).toHaveBeenCalledWith(expect.objectContaining({ code: 404 }), expect.any(String)),
      10_000,
    );
    expect(informer.hasSynced).toBe(false);
  });

  it('is told by 410 that a version is too old', async () => {
    const namespace = await server.namespace();
    await put(namespace, 'a', '1');
    await server.plane.restart();
    const watch = server.client.watch(configMaps, { namespace, resourceVersion: '2', signal: stop.signal });
    const error = await failureOf(watch.next());
    expect(isGone(error)).toBe(true);
  });
});

describe('leader election', () => {
  function replica(namespace: string, identity: string, durationSeconds = 10, renewDeadlineSeconds = 8) {
    const own = new AbortController();
    stop.signal.addEventListener('abort', () => own.abort());
    const log: string[] = [];
    const election = new LeaderElection({
      client: server.clientWith(),
      namespace,
      name: 'operator',
      identity,
      durationSeconds,
      renewDeadlineSeconds,
      retrySeconds: 0.3,
      onLost: (why) => log.push(`lost: ${why}`),
      log: quiet,
    });
    const ended = election
      .run(own.signal, async (signal) => {
        log.push('leads');
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      })
      .catch(() => log.push('failed'));
    return { election, log, stop: own, ended };
  }
  const holder = async (namespace: string) =>
    ((await server.client.get(leases, namespace, 'operator'))['spec'] as { holderIdentity: string })
      .holderIdentity;

  it('has one leader of two; the other follows at once when the lease is given back', async () => {
    const namespace = await server.namespace();
    const a = replica(namespace, 'a');
    await eventually('a leads', () => a.election.leading);
    const b = replica(namespace, 'b');
    await sleep(11_000);
    expect(b.log).toEqual([]);
    a.stop.abort();
    await a.ended;
    expect(a.log).toEqual(['leads']);
    // Sooner than the lease would run out.
    await eventually('b leads', () => b.election.leading, 8000);
    expect(await holder(namespace)).toBe('b');
  });

  it('gives up when the lease is stolen, and never leads beside the thief', async () => {
    const namespace = await server.namespace();
    const a = replica(namespace, 'a');
    await eventually('a leads', () => a.election.leading);
    await eventually('stolen', async () => {
      const lease = await server.client.get<KubeObject>(leases, namespace, 'operator');
      await server.client.replace(leases, {
        ...lease,
        spec: { ...(lease['spec'] as object), holderIdentity: 'thief' },
      });
      return true;
    });
    await a.ended;
    expect(a.log).toEqual(['leads', 'lost: another replica holds it', 'failed']);
    expect(await holder(namespace)).toBe('thief');
  });

  it('gives up when the API server hangs, before the lease can run out', async () => {
    const namespace = await server.namespace();
    const a = replica(namespace, 'a', 10, 2);
    await eventually('a leads', () => a.election.leading);
    const start = performance.now();
    server.freeze();
    try {
      await a.ended;
      expect(performance.now() - start).toBeLessThan(10_000);
    } finally {
      server.thaw();
    }
    expect(a.log[1]).toBe('lost: it could not be renewed in time');
    await eventually('the API server answers again', () => holder(namespace).then(() => true));
  });
});

describe('the event recorder', () => {
  it('writes events that the API server takes, one with a series for what is told again', async () => {
    const namespace = await server.namespace();
    const object = await server.client.create(configMaps, configMap(namespace, 'a', {}));
    const recorder = (reportingInstance: string) =>
      new EventRecorder({
        client: server.client,
        reportingController: 'offsite-tuning.dev/operator',
        reportingInstance,
        log: quiet,
      });
    for (const instance of ['pod-1', 'pod-2', 'pod-3']) {
      const events = recorder(instance);
      events.event(object, 'Normal', 'JobCreated', `created a Job: ${'x'.repeat(2000)}`);
      await events.flush(60_000);
    }
    const { items } = await server.client.list<KubeObject>(events, { namespace });
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({
      reason: 'JobCreated',
      regarding: { kind: 'ConfigMap', name: 'a', uid: object.metadata.uid },
      series: { count: 3 },
    });
  });

  it('bears a namespace that is ending or gone', async () => {
    const metrics = new RuntimeMetrics();
    const recorder = new EventRecorder({
      client: server.client,
      reportingController: 'offsite-tuning.dev/operator',
      reportingInstance: 'pod',
      metrics,
      log: quiet,
    });
    recorder.event(configMap('nowhere', 'a', {}), 'Normal', 'A', 'x');
    await recorder.flush(60_000);
    expect((await metrics.events.get()).values).toMatchObject([{ labels: { result: 'failed' }, value: 1 }]);
  });
});
