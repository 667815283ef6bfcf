/** What pods report late (of an earlier attempt, a resource that is gone, another uid, again) changes nothing. */
import { describe, expect, it, vi } from 'vitest';
import { label } from '../../../operator/jobs/index.ts';
import { Operator } from '../../../operator/operator.ts';
import { Reports } from '../../../operator/progress/index.ts';
import { EventRecorder, RuntimeMetrics } from '../../../operator/runtime/index.ts';
import { type Kind, stagesOf } from '../../../src/api/index.ts';
import type { StageEvent } from '../../../src/progress/index.ts';
import {
  artifact,
  completed,
  digestOf,
  ended,
  failedWith,
  resource,
  succeeded,
  World,
} from '../../support/unit/operator/fixtures.ts';
import { MemoryApi } from '../../support/unit/operator/memory-api.ts';
import { observeWorld } from '../../support/unit/operator/observing.ts';

let order = 0;

/** A stage's result, as the pod of this attempt sends it. */
function report(to: Reports, { object }: World, attempt: number, result: object, uid = object.metadata.uid!) {
  const { name, namespace = '' } = object.metadata;
  const stage = stagesOf(object.kind as Kind).at(-1)!;
  to.accept({
    message: {
      publisher: `attempt-${attempt}`,
      sequence: 1,
      ...{ namespace, kind: object.kind, name, uid, attempt },
      event: { type: 'result', stage, result },
    },
    order: ++order,
    time: new Date(0),
  });
}

/** Looks at it after each write, as the operator does, until there is nothing to do. */
async function settle(world: World, reports: Reports): Promise<World> {
  for (let before = -1; before !== world.writes.length; ) {
    before = world.writes.length;
    world.results = { ...(await observeWorld(world, { reports }))?.observed.reports.results };
    world.run(before + 1);
  }
  return world;
}

const start = (kind: Kind, spec: object = {}) => {
  const world = new World(resource(kind, { spec }));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e'), adapter: completed('OffsiteTune', 'a') };
  return { world, reports: new Reports({ url: 'nats://127.0.0.1:1' }) };
};
const attemptsOf = (world: World) => world.jobs.map(({ metadata }) => metadata.labels?.[label.attempt]);

describe('gates that fail again in the next attempt', () => {
  const gates = (message: string) => [{ name: 'gain', passed: false, message }];
  const failGates = (world: World) => {
    const end = failedWith(13, 'plug', 'GateFailed', 'gate gain did not hold');
    world.podIs('plug', (pod) => ended(pod, end));
    world.jobIs('plug', 'Failed', { reason: 'PodFailurePolicy' });
  };

  it('are told as the next attempt reports them, not as the earlier one did', async () => {
    const { world, reports } = start('PlugIn');
    await settle(world, reports);
    report(reports, world, 1, { gates: gates('0.1') });
    failGates(world);
    await settle(world, reports);
    expect(world.status['gates']).toEqual(gates('0.1'));
    await settle(world.edit({ coefficient: '0.5' }), reports);
    await settle(world.collect(), reports);
    failGates(world);
    await settle(world, reports);
    expect(world.status).toMatchObject({ phase: 'Failed', attempt: 2 });
    expect(world.status).not.toHaveProperty('gates');
    report(reports, world, 1, { gates: gates('0.1') });
    await settle(world, reports);
    expect(world.status).not.toHaveProperty('gates');
    report(reports, world, 2, { gates: gates('0.2') });
    expect((await settle(world, reports)).status['gates']).toEqual(gates('0.2'));
  });
});

it('a result without an artifact is never taken from an earlier attempt, whose pod said the same in short', async () => {
  const { world, reports } = start('PlugIn', {
    output: { uri: 'pvc://artifacts/words-adapter', save: 'none' },
  });
  const gates = [{ name: 'gain', passed: true, message: 'ok' }];
  const cells = (value: string) =>
    Object.fromEntries(
      ['fullZeroShot', 'emulatorZeroShot', 'emulatorFineTuned', 'plugIn'].map((cell) => [
        cell,
        { value, stderr: '0.1' },
      ]),
    );
  const evaluation = (value: string) => [{ task: 'words', metric: 'acc', samples: 9, cells: cells(value) }];
  const { exitCode, message } = succeeded('plug');
  const end = { exitCode, message: { ...message, summary: { gates } } };
  await settle(world, reports);
  report(reports, world, 1, { gates, evaluation: evaluation('0.1') });
  await settle(world.edit({ coefficient: '0.5' }), reports);
  await settle(world.collect(), reports);
  world.podIs('plug', (pod) => ended(pod, end)).jobIs('plug', 'Complete');
  await settle(world, reports);
  expect(world.holding).toEqual(['Waiting/ResultPending']);
  report(reports, world, 2, { gates, evaluation: evaluation('0.2') });
  await settle(world, reports);
  expect(world.status).toMatchObject({ phase: 'Complete', attempt: 2, evaluation: evaluation('0.2') });
});

describe('a tune that is Complete by its second attempt', () => {
  const result = (character: string, steps: number) => ({
    artifact: artifact(character, 'pvc://artifacts/words-adapter'),
    training: { steps },
  });
  const twice = async () => {
    const { world, reports } = start('OffsiteTune');
    await settle(world, reports);
    report(reports, world, 1, result('a', 1));
    await settle(world.edit({ training: { steps: 60 } }), reports);
    await settle(world.collect(), reports);
    expect(attemptsOf(world)).toEqual(['2']);
    world.done('tune', 'a');
    report(reports, world, 2, result('a', 60));
    await settle(world, reports);
    expect(world.status).toMatchObject({ phase: 'Complete', attempt: 2, training: { steps: 60 } });
    return { world, reports };
  };

  it.each<[string, number, object, string?]>([
    ['of the earlier attempt and its spec', 1, result('9', 1)],
    ['of the earlier attempt, with the same artifact', 1, result('a', 1)],
    ['of the same attempt, again', 2, result('a', 60)],
    ['of the same attempt, but of another artifact', 2, result('9', 61)],
    ['of a resource of this name that was deleted', 2, result('9', 61), 'uid-of-before'],
  ])('does not change by a late result %s', async (_, attempt, late, uid) => {
    const { world, reports } = await twice();
    const before = structuredClone(world.status);
    const writes = world.writes.length;
    for (let times = 0; times < 2; times++) report(reports, world, attempt, late, uid);
    await settle(world, reports);
    expect(world.status).toEqual(before);
    expect(world.writes).toHaveLength(writes);
  });

  it('does not lose its result to one of the earlier attempt that comes after it', async () => {
    const { world, reports } = start('OffsiteTune');
    await settle(world, reports);
    await settle(world.edit({ suspend: true }), reports);
    await settle(world.collect(), reports);
    await settle(world.edit({ suspend: false }), reports);
    report(reports, world, 2, result('a', 120));
    report(reports, world, 1, result('9', 7));
    world.done('tune', 'a');
    await settle(world, reports);
    expect(world.status).toMatchObject({
      phase: 'Complete',
      attempt: 2,
      artifact: { digest: digestOf('a') },
    });
  });
});

it('of what a run says its last result alone is decided on, however often it says the rest', async () => {
  const { world, reports } = start('OffsiteTune');
  const { kind, metadata } = world.object;
  const metrics = new RuntimeMetrics();
  const api = new MemoryApi();
  const lists = {
    '/apis/offsite-tuning.dev/v1alpha1/emulatorbuilds': [],
    '/apis/offsite-tuning.dev/v1alpha1/offsitetunes': [world.object],
    '/apis/offsite-tuning.dev/v1alpha1/plugins': [],
    '/apis/batch/v1/jobs': [],
    '/api/v1/pods': [],
  };
  for (const [path, items] of Object.entries(lists))
    api.objects.set(path, { items, metadata: { name: '', resourceVersion: '1' } });
  const events = new EventRecorder({
    ...{ client: api.client(), metrics },
    ...{ reportingController: 'test', reportingInstance: 'test' },
  });
  const operator = new Operator({
    ...{ client: api.client(), events, metrics, reports, job: world.settings },
    ...{ namespaces: [], concurrency: 1 },
  });
  const stop = new AbortController();
  await operator.follow(stop.signal);
  stop.abort();
  const asked = vi.spyOn(reports, 'hasResult');
  const made = vi.spyOn(reports, 'resultOf');
  let order = 0;
  const say = (event: StageEvent) =>
    reports.accept({
      message: {
        ...{ namespace: metadata.namespace!, kind, name: metadata.name, uid: metadata.uid!, attempt: 1 },
        ...{ publisher: 'a', sequence: ++order, event },
      },
      ...{ order, time: new Date(0) },
    });
  say({ type: 'result', stage: 'tune', result: {} });
  expect(asked).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 3; i++) say({ type: 'progress', stage: 'tune', progressPercentage: i, metrics: [] });
  say({ type: 'warning', reason: 'R', message: 'w' });
  expect([asked.mock.calls.length, made.mock.calls.length]).toEqual([1, 0]);
});

it('what pods of a resource report that is not there is not kept', () => {
  const { world, reports } = start('OffsiteTune');
  const metrics = new RuntimeMetrics();
  const client = new MemoryApi().client();
  const events = new EventRecorder({
    client,
    reportingController: 'test',
    reportingInstance: 'test',
    metrics,
  });
  new Operator({
    ...{ client, events, metrics, reports },
    namespaces: [],
    job: world.settings,
    concurrency: 1,
  });
  report(reports, world, 1, {});
  expect(reports.resultOf(world.object.metadata.uid!, 'tune')).toBeUndefined();
});
