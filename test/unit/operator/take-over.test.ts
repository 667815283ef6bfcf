/** A replica that waits, and then leads. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Operator } from '../../../operator/operator.ts';
import {
  type ApiClient,
  type EventRecorder,
  type KubeObject,
  type ResourceType,
  RuntimeMetrics,
} from '../../../operator/runtime/index.ts';
import { resource, settings, World } from '../../support/unit/operator/fixtures.ts';

let ending: AbortController;
beforeEach(() => {
  ending = new AbortController();
});
afterEach(() => ending.abort());

interface Change {
  readonly object: KubeObject;
  readonly heard: () => void;
}

/** An API server that lists these objects, says of changes only what it is told to, and notes what it is asked. */
class ListedApi {
  objects: readonly KubeObject[] = [];
  readonly asked: string[] = [];
  /** Names in the order in which their status was written. */
  readonly named: string[] = [];
  /** Held back until it resolves: every status write. */
  writable = Promise.resolve();
  readonly #watches = new Map<string, (change: Change) => void>();
  readonly client = {
    now: Date.now,
    list: async ({ kind }: ResourceType) => {
      this.asked.push(`list ${kind}`);
      const items = structuredClone(this.objects.filter((object) => object.kind === kind));
      return { items, metadata: { resourceVersion: '1' } };
    },
    watch: (type: ResourceType, { signal }: { signal: AbortSignal }) => this.#watch(type, signal),
    applyStatus: async ({ kind }: ResourceType, { metadata, ...object }: KubeObject) => {
      await this.writable;
      this.named.push(metadata.name);
      this.asked.push(`write ${kind}`);
      return { ...object, metadata: { ...metadata, resourceVersion: '2' } };
    },
    create: async ({ kind }: ResourceType, object: KubeObject) => {
      this.asked.push(`write ${kind}`);
      return { ...object, metadata: { ...object.metadata, uid: 'made' } };
    },
  } as unknown as ApiClient;

  /** Somebody changes this object, which is listed. @returns when the operator has heard of it */
  change(object: KubeObject): Promise<void> {
    const heard = Promise.withResolvers<void>();
    this.#watches.get(object.kind)?.({ object, heard: heard.resolve });
    return heard.promise;
  }

  async *#watch({ kind }: ResourceType, signal: AbortSignal) {
    const ended = new Promise<undefined>((resolve) =>
      signal.addEventListener('abort', () => resolve(undefined)),
    );
    for (;;) {
      const next = new Promise<Change>((resolve) => this.#watches.set(kind, resolve));
      const change = await Promise.race([next, ended]);
      if (change === undefined) return;
      yield { type: 'MODIFIED', object: change.object };
      change.heard();
    }
  }

  get writes(): string[] {
    return this.asked.filter((request) => request.startsWith('write'));
  }
}

async function following(api: ListedApi) {
  const metrics = new RuntimeMetrics();
  const told: string[] = [];
  const event = (object: KubeObject, type: string, reason: string, message: string) =>
    void told.push(`${object.metadata.name} ${type} ${reason} ${message}`);
  const events = { event } as unknown as EventRecorder;
  const job = { ...settings, natsCredentials: false };
  const { client } = api;
  const operator = new Operator({ client, namespaces: [], job, concurrency: 2, events, metrics });
  await operator.follow(ending.signal);
  const of = async (metric: 'queueLength' | 'queueSeconds' | 'reconciles') =>
    (await metrics[metric].get()).values.reduce(
      (sum, { value, labels }) => sum + ('le' in labels ? 0 : value),
      0,
    );
  return { operator, of, told };
}

it('queues nothing while it waits, and all at once when it leads', async () => {
  const api = new ListedApi();
  api.objects = [resource('EmulatorBuild'), resource('OffsiteTune'), resource('PlugIn')];
  const { operator, of } = await following(api);
  expect([await of('queueLength'), await of('queueSeconds')]).toEqual([0, 0]);
  expect(api.writes).toEqual([]);
  void operator.lead(ending.signal);
  await vi.waitFor(async () => expect(await of('reconciles')).toBeGreaterThanOrEqual(3), 10_000);
  expect(api.writes).toContain('write Job');
});

it('works on what somebody changes before what it only lists', async () => {
  const api = new ListedApi();
  const builds = Array.from({ length: 40 }, (_, i) => {
    const build = resource('EmulatorBuild');
    const [name, uri] = [`build-${i}`, `pvc://artifacts/${i}`];
    Object.assign(build.metadata, { name, uid: name });
    return { ...build, spec: { ...(build['spec'] as object), output: { uri } } };
  });
  api.objects = builds;
  const { operator, of } = await following(api);
  const held = Promise.withResolvers<void>();
  api.writable = held.promise;
  void operator.lead(ending.signal);
  await vi.waitFor(async () => expect(await of('queueLength')).toBe(38), 10_000);
  const changed = structuredClone(builds[39]!);
  Object.assign(changed.metadata, { resourceVersion: '9', generation: 2 });
  await api.change(changed);
  held.resolve();
  await vi.waitFor(() => expect(api.named).toContain('build-30'), 10_000);
  expect(api.named.indexOf('build-39')).toBeLessThan(6);
});

it('lists once, fresh, before it writes: what the leader before made last is not made again', async () => {
  const api = new ListedApi();
  const before = new World(resource('EmulatorBuild'));
  api.objects = [structuredClone(before.object)];
  const { operator, of } = await following(api);
  const lists = api.asked.length;
  before.run().start('probe');
  api.objects = [before.object, ...before.jobs, ...before.pods];
  void operator.lead(ending.signal);
  await vi.waitFor(async () => expect(await of('reconciles')).toBeGreaterThanOrEqual(1), 10_000);
  expect(api.asked.slice(lists).filter((request) => request.startsWith('list'))).toHaveLength(lists);
  expect(api.writes).not.toContain('write Job');
  const firstWrite = api.asked.findIndex((request) => request.startsWith('write'));
  if (firstWrite >= 0) expect(firstWrite).toBeGreaterThanOrEqual(2 * lists);
});

it('tells of a fault of its own on the resource, waits longer each time, and goes on with the others', async () => {
  const api = new ListedApi();
  // No schema lets that into a status: it stands for what nobody thought of.
  const wrong = resource('EmulatorBuild', { name: 'wrong', uid: 'wrong', status: { conditions: 7 } });
  api.objects = [wrong, resource('OffsiteTune')];
  const { operator, of, told } = await following(api);
  void operator.lead(ending.signal);
  await vi.waitFor(() => expect(told.some((line) => line.startsWith('wrong'))).toBe(true), 10_000);
  await vi.waitFor(() => expect(api.writes).toContain('write OffsiteTune'), 10_000);
  expect(told.find((line) => line.startsWith('wrong'))).toMatch(
    /^wrong Warning ReconcileFailed a fault of the operator: .+: it tries again, at least every minute; its log says where$/,
  );
  // A hot loop would have made thousands by now.
  expect(await of('reconciles')).toBeLessThan(20);
});
