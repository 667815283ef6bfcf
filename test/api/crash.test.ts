/** The operator dies or is parted from the cluster at every point of a run, and nothing is lost or done twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leases } from '../../operator/runtime/index.ts';
import { ApiServer, eventually } from './api-server.ts';
import { CountingProxy } from './counting-proxy.ts';
import { differences } from './differences.ts';
import { Kubelet } from './kubelet.ts';
import { OperatorBundle, type OperatorProcess } from './operator-process.ts';
import { type Recorded, recordResults } from './recorded.ts';
import { Run } from './run.ts';

/** `make test` kills at a few writes, `make test-faults` at every one. */
const step = process.env['CRASH_EVERY'] === 'write' ? 1 : 6;
/** Runs at the same time; they mostly wait. */
const lanes = 3;

let server: ApiServer;
let recorded: Recorded;
let bundle: OperatorBundle;
let kubelet: Kubelet;
const proxies: CountingProxy[] = [];
let undisturbed: { state: object; writes: number };

beforeAll(async () => {
  [server, recorded] = await Promise.all([ApiServer.start({ controllerManager: true }), recordResults()]);
  bundle = new OperatorBundle();
  for (let i = 0; i < lanes; i++) proxies.push(await CountingProxy.start(server.plane.kubeconfig));
  kubelet = new Kubelet(server.client, { results: recorded.results, runMilliseconds: 300 });
  await kubelet.start();
  undisturbed = await runKilledAfter(proxies[0]!, () => false);
}, 900_000);
afterAll(async () => {
  kubelet?.stop();
  await bundle?.remove();
  for (const proxy of proxies) await proxy.stop();
  await server?.stop();
});

const podsRun = ({ namespace }: Run) => kubelet.ran.filter((line) => line.endsWith(` ${namespace}/tiny`));

/** A whole run whose operator is killed right after the writes that are chosen by number, and started again. */
async function runKilledAfter(proxy: CountingProxy, isChosen: (write: number) => boolean) {
  proxy.reset();
  const run = await Run.create(server, recorded);
  const kubeconfig = proxy.kubeconfig(bundle.directory);
  const start = () => bundle.start(kubeconfig, '--namespaces', run.namespace, '--leader-election', 'false');
  let operator = start();
  proxy.onWrite = (_, number) => {
    if (!isChosen(number)) return;
    void operator.kill();
    operator = start();
  };
  await run.complete(120_000);
  await eventually('the last operator runs', () => operator.said('starting'));
  const writes = proxy.writes.length;
  const state = await run.endState();
  expect(await operator.stop()).toBe(0);
  expect(operator.complaints()).toEqual([]);
  expect(podsRun(run)).toHaveLength(4);
  return { state, writes };
}

describe('killed', () => {
  it(`after one write of a run, it ends as if nothing had been (every ${step}. write)`, async () => {
    const numbers = Array.from({ length: Math.ceil(undisturbed.writes / step) }, (_, i) => 1 + i * step);
    const problems: string[] = [];
    const lane = async (proxy: CountingProxy) => {
      for (let n = numbers.shift(); n !== undefined; n = numbers.shift()) {
        try {
          const { state } = await runKilledAfter(proxy, (number) => number === n);
          problems.push(...differences(undisturbed.state, state).map((what) => `after write ${n}: ${what}`));
        } catch (error) {
          problems.push(`after write ${n}: ${(error as Error).message}`);
        }
      }
    };
    await Promise.all(proxies.map(lane));
    expect(problems).toEqual([]);
  });

  it('after every write of one run, again and again, it ends as if nothing had been', async () => {
    const { state } = await runKilledAfter(proxies[0]!, () => true);
    expect(differences(undisturbed.state, state)).toEqual([]);
  });
});

describe('two replicas', () => {
  interface Replica {
    proxy: CountingProxy;
    operator: OperatorProcess;
  }

  /** Two that want the same lease, and a run; the first of the two leads. */
  async function start(): Promise<{ run: Run; leader: Replica; follower: Replica }> {
    const namespace = await server.namespace('operator');
    const run = await Run.create(server, recorded);
    const replica = (proxy: CountingProxy): Replica => {
      proxy.reset();
      const flags = ['--namespaces', run.namespace, '--namespace', namespace];
      return { proxy, operator: bundle.start(proxy.kubeconfig(bundle.directory), ...flags) };
    };
    const leader = replica(proxies[0]!);
    await eventually('one leads', () => leader.operator.said('leading'));
    const follower = replica(proxies[1]!);
    await eventually('the other is there', () => follower.operator.said('starting'));
    await eventually('the run has begun', async () => (await run.jobs()).length > 0);
    await eventually(
      'the lease is held',
      async () => (await server.client.list(leases, { namespace })).items.length === 1,
    );
    return { run, leader, follower };
  }

  async function endsAlike(run: Run): Promise<void> {
    await run.complete(120_000);
    expect(differences(undisturbed.state, await run.endState())).toEqual([]);
    expect(podsRun(run)).toHaveLength(4);
  }

  it('one takes over when the leader is killed', async () => {
    const { run, leader, follower } = await start();
    await leader.operator.kill();
    expect(follower.proxy.writes).toEqual([]);
    await endsAlike(run);
    expect(await follower.operator.stop()).toBe(0);
  });

  it('one takes over within seconds when the leader is told to end, which ends with 0', async () => {
    const { run, leader, follower } = await start();
    expect(await leader.operator.stop()).toBe(0);
    await eventually('the other leads', () => follower.operator.said('leading'), 4000);
    await endsAlike(run);
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
    await endsAlike(run);
    expect(await follower.operator.stop()).toBe(0);
  });

  it('the API server crashes and comes back: the run goes on', async () => {
    const { run, leader, follower } = await start();
    await server.plane.restart({ crash: true, downMs: 2000 });
    await endsAlike(run);
    await sleep(100);
    expect([leader, follower].filter(({ operator }) => operator.running).length).toBeGreaterThan(0);
    await Promise.all([leader, follower].map(({ operator }) => operator.stop()));
  });
});
