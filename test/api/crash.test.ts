/** The operator dies or is parted from the cluster at every point of a run, and nothing is lost or done twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { leases } from '../../operator/runtime/index.ts';
import { ApiServer, eventually } from '../support/api/api-server.ts';
import { CountingProxy } from '../support/api/counting-proxy.ts';
import { differences } from '../support/api/differences.ts';
import { Kubelet } from '../support/api/kubelet.ts';
import { OperatorBundle, type OperatorProcess } from '../support/api/operator-process.ts';
import { type Recorded, recordResults } from '../support/api/recorded.ts';
import { Run } from '../support/api/run.ts';
import { RunPublishers, secretIn } from '../support/api/run-publishers.ts';
import { freePort } from '../support/cluster/ports.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

/** `make test` kills at a few writes, `make test-faults` at every one. */
const step = process.env['CRASH_EVERY'] === 'write' ? 1 : 6;
/** Runs at the same time; they mostly wait. */
const laneCount = 3;
/** For what takes seconds on a machine that has nothing else to do. */
const patience = 300_000;

/** What one run at a time has for itself: its way to the API server, its NATS, and a namespace with the keys of that. */
interface Lane {
  proxies: [CountingProxy, CountingProxy];
  nats: NatsServer;
  publishers: RunPublishers;
  flags: string[];
  home: string;
}

let server: ApiServer;
let recorded: Recorded;
let bundle: OperatorBundle;
let kubelet: Kubelet;
/** By namespace, the lane of the run there. */
const laneOf = new Map<string, Lane>();
let lanes: Lane[] = [];
let undisturbed: { state: object; writes: number } | undefined;
/** Ends what was started, also where not all of it started. */
const closings: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  [server, recorded] = await Promise.all([ApiServer.start({ controllerManager: true }), recordResults()]);
  bundle = new OperatorBundle();
  lanes = await Promise.all(Array.from({ length: laneCount }, makeLane));
  kubelet = new Kubelet(server.client, {
    results: recorded.results,
    publish: (...told) => laneOf.get(told[0].metadata.namespace!)!.publishers.publish(...told),
    // The result is known from NATS alone: one that is lost there would make another attempt.
    summary: false,
    runMilliseconds: 300,
  });
  await kubelet.start();
  undisturbed = await runKilledAfter(lanes[0]!, () => false);
}, 900_000);
afterEach(() => bundle.killAll());
afterAll(async () => {
  kubelet?.stop();
  await bundle?.remove();
  await Promise.allSettled(closings.map((close) => close()));
  await server?.stop();
});

/** The operator makes the keys by which nats-server then starts. */
async function makeLane(): Promise<Lane> {
  const home = await server.namespace('operator');
  const port = await freePort();
  // Pods are told one address, so that the Jobs of all lanes are alike.
  const address = ['--nats-url', `nats://127.0.0.1:${port}`, '--worker-nats-url', 'nats://nats:4222'];
  const flags = ['--namespace', home, ...address];
  const first = bundle.start(server.plane.kubeconfig, ...flags);
  await eventually(
    'the keys are there',
    () => secretIn(server, home, 'offsite-nats-auth').then(() => true),
    120_000,
  );
  await first.kill();
  await server.client.delete(leases, home, 'offsite-operator').catch(() => {});
  const { 'auth.conf': more = '' } = await secretIn(server, home, 'offsite-nats-auth');
  const nats = await NatsServer.start({ port, more });
  closings.push(() => nats.remove());
  const startProxy = async () => {
    const proxy = await CountingProxy.start(server.plane.kubeconfig);
    closings.push(() => proxy.stop());
    return proxy;
  };
  const proxies: Lane['proxies'] = [await startProxy(), await startProxy()];
  const publishers = new RunPublishers(server, nats.url);
  closings.push(() => publishers.close());
  return { home, flags, nats, proxies, publishers };
}

const podsRun = ({ namespace }: Run) => kubelet.ran.filter((line) => line.endsWith(` ${namespace}/tiny`));

/** A whole run whose operator is killed right after the writes that are chosen by number, and started again. */
async function runKilledAfter(lane: Lane, isChosen: (write: number) => boolean) {
  const [proxy] = lane.proxies;
  proxy.reset();
  const run = await Run.create(server, recorded, (namespace) => laneOf.set(namespace, lane));
  const kubeconfig = proxy.kubeconfig(bundle.directory);
  const flags = [...lane.flags, '--namespaces', run.namespace, '--leader-election', 'false'];
  const start = () => bundle.start(kubeconfig, ...flags);
  let operator = start();
  proxy.onWrite = (_, number) => {
    if (!isChosen(number)) return;
    void operator.kill();
    operator = start();
  };
  const state = await endOf(run);
  await eventually('the last operator runs', () => operator.said('starting'), patience);
  expect(await operator.stop()).toBe(0);
  expect(operator.complaints()).toEqual([]);
  return { state, writes: proxy.writes.length };
}

/** Where a run ends, which is where the undisturbed one ended; a result may come a moment after Complete. */
async function endOf(run: Run): Promise<object> {
  await run.complete(patience);
  let state = await run.endState();
  const goal = undisturbed?.state ?? state;
  await eventually('it ends as if nothing had been', async () => {
    state = await run.endState();
    return differences(goal, state).length === 0;
  }).catch(() => {});
  expect(differences(goal, state)).toEqual([]);
  // Never a second Job.
  expect(podsRun(run)).toHaveLength(4);
  return state;
}

describe('killed', () => {
  it(`after one write of a run, it ends as if nothing had been (every ${step}. write)`, async () => {
    const numbers = Array.from({ length: Math.ceil(undisturbed!.writes / step) }, (_, i) => 1 + i * step);
    const problems: string[] = [];
    const work = async (lane: Lane) => {
      for (let n = numbers.shift(); n !== undefined; n = numbers.shift()) {
        try {
          await runKilledAfter(lane, (number) => number === n);
        } catch (error) {
          problems.push(`after write ${n}: ${(error as Error).message}`);
        }
      }
    };
    await Promise.all(lanes.map(work));
    expect(problems).toEqual([]);
  });

  it('after every write of one run, again and again, it ends as if nothing had been', async () => {
    await runKilledAfter(lanes[0]!, () => true);
  });
});

describe('two replicas', () => {
  interface Replica {
    proxy: CountingProxy;
    operator: OperatorProcess;
  }

  /** Two that want the same lease, and a run; the first of the two leads. */
  async function start(): Promise<{ run: Run; leader: Replica; follower: Replica }> {
    const lane = lanes[0]!;
    // Whoever held it in the test before is dead.
    await server.client.delete(leases, lane.home, 'offsite-operator').catch(() => {});
    const run = await Run.create(server, recorded, (namespace) => laneOf.set(namespace, lane));
    const replica = (proxy: CountingProxy): Replica => {
      proxy.reset();
      const flags = [...lane.flags, '--namespaces', run.namespace];
      return { proxy, operator: bundle.start(proxy.kubeconfig(bundle.directory), ...flags) };
    };
    const leader = replica(lane.proxies[0]);
    await eventually('one leads', () => leader.operator.said('leading'));
    const follower = replica(lane.proxies[1]);
    await eventually('the other is there', () => follower.operator.said('starting'));
    await eventually('the run has begun', async () => (await run.jobs()).length > 0);
    return { run, leader, follower };
  }

  it('one takes over when the leader is killed', async () => {
    const { run, leader, follower } = await start();
    await leader.operator.kill();
    expect(follower.proxy.writes).toEqual([]);
    await endOf(run);
    expect(await follower.operator.stop()).toBe(0);
  });

  it('one takes over within seconds when the leader is told to end, which ends with 0', async () => {
    const { run, leader, follower } = await start();
    expect(await leader.operator.stop()).toBe(0);
    await eventually('the other leads', () => follower.operator.said('leading'), 10_000);
    await endOf(run);
    expect(await follower.operator.stop()).toBe(0);
  });

  it('a leader that was stopped for long writes nothing when it wakes, and ends', async () => {
    const { run, leader, follower } = await start();
    leader.operator.child.kill('SIGSTOP');
    await eventually('the other leads', () => follower.operator.said('leading'), 40_000);
    const before = leader.proxy.writes.length;
    leader.operator.child.kill('SIGCONT');
    await eventually('the first has ended', () => !leader.operator.running);
    expect(leader.operator.child.exitCode).toBe(1);
    expect(leader.proxy.writes.length).toBe(before);
    await endOf(run);
    expect(await follower.operator.stop()).toBe(0);
  });

  it('the API server crashes and comes back: the run goes on', async () => {
    const { run, leader, follower } = await start();
    // A pod whose creation the crash cut off would be created twice, by Kubernetes' own controller.
    await eventually('its pod runs', () => podsRun(run).length > 0);
    await server.plane.restart({ crash: true, downMs: 2000 });
    await endOf(run);
    await sleep(100);
    expect([leader, follower].filter(({ operator }) => operator.running).length).toBeGreaterThan(0);
    await Promise.all([leader, follower].map(({ operator }) => operator.stop()));
  });
});
