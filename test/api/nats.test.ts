/** The operator's process with a real nats-server, whose keys it makes; pods report with their own run's credentials. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KubeObject } from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, eventually } from '../support/api/api-server.ts';
import { type Ending, Kubelet, type Told } from '../support/api/kubelet.ts';
import { OperatorBundle, type OperatorProcess } from '../support/api/operator-process.ts';
import { type Recorded, recordResults } from '../support/api/recorded.ts';
import { RunPublishers, secretIn } from '../support/api/run-publishers.ts';
import { freePort } from '../support/cluster/ports.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

let server: ApiServer;
let nats: NatsServer;
let publishers: RunPublishers;
let recorded: Recorded;
let bundle: OperatorBundle;
let operator: OperatorProcess;
let kubelet: Kubelet;
let namespace: string;
let ending: ((told: Told) => Ending) | undefined;

beforeAll(async () => {
  [server, recorded] = await Promise.all([ApiServer.start({ controllerManager: true }), recordResults()]);
  namespace = await server.namespace();
  bundle = new OperatorBundle();
  const port = await freePort();
  const own = await server.namespace('operator');
  const flags = ['--namespace', own, '--namespaces', namespace, '--nats-url', `nats://127.0.0.1:${port}`];
  operator = bundle.start(server.plane.kubeconfig, ...flags);
  await eventually(
    'the keys are there',
    async () => (await secretIn(server, own, 'offsite-nats-auth')) !== undefined,
  );
  nats = await NatsServer.start({
    port,
    more: (await secretIn(server, own, 'offsite-nats-auth'))['auth.conf']!,
  });
  publishers = new RunPublishers(server, nats.url);
  kubelet = new Kubelet(server.client, {
    results: recorded.results,
    publish,
    // Or the pods' own words would do.
    summary: false,
    ending: (told) => ending?.(told) ?? { result: recorded.results[told.stage] },
  });
  await kubelet.start();
}, 900_000);

afterAll(async () => {
  kubelet?.stop();
  await publishers?.close();
  await bundle?.remove();
  await nats?.remove();
  await server?.stop();
});

const publish = (...told: Parameters<RunPublishers['publish']>) => publishers.publish(...told);

interface Status {
  phase?: string;
  attempt?: number;
  progress?: { progressPercentage?: number };
  conditions?: { type: string; status: string; reason: string }[];
}
const statusOf = async (name: string) =>
  ((await server.client.get(emulatorBuilds, namespace, name))['status'] ?? {}) as Status;
const away = async (name: string) =>
  (await statusOf(name)).conditions?.some(
    ({ type, status }) => type === 'ProgressAvailable' && status === 'False',
  ) ?? false;

const build = (name: string) =>
  server.client.create<KubeObject>(emulatorBuilds, {
    ...recorded.manifests.build,
    metadata: { name, namespace },
  });

it('the whole result comes over NATS', async () => {
  await build('whole');
  await eventually('it is Complete', async () => (await statusOf('whole')).phase === 'Complete', 60_000);
  await expect
    .poll(() => statusOf('whole'), { timeout: 60_000 })
    .toMatchObject({ ...recorded.results.assemble, attempt: 1 });
});

it('progress comes over NATS; NATS away is told while a pod runs, and taken back when it is there again', async () => {
  ending = () => 'runs on';
  const { metadata } = await build('long');
  await eventually('a pod runs', async () => (await statusOf('long')).phase === 'Running');
  const tell = (progressPercentage: number, attempt = 1) =>
    publish(
      { kind: 'EmulatorBuild', metadata: { ...metadata, namespace, name: 'long' } as { name: string } },
      { type: 'progress', stage: 'probe', progressPercentage, metrics: [{ name: 'rows', value: '8' }] },
      attempt,
    );
  const shown = (percentage: number) =>
    eventually(
      'the progress is shown',
      async () => (await statusOf('long')).progress?.progressPercentage === percentage,
    );
  await tell(30);
  await shown(30);
  expect(await away('long')).toBe(false);
  await nats.kill();
  await eventually('it is told that NATS is away', () => away('long'));
  await tell(60);
  await nats.restart();
  await eventually('it is taken back', async () => !(await away('long')));
  await shown(60);
  await server.client.merge(emulatorBuilds, namespace, 'long', { spec: { layers: 3 } });
  await eventually('the next attempt runs, and nothing is shown of the first', async () => {
    const { phase, attempt, progress } = await statusOf('long');
    return phase === 'Running' && attempt === 2 && progress === undefined;
  });
  // Late, of the first one: it neither comes to be shown nor stands in the way of what the second says.
  await tell(99, 1);
  await tell(10, 2);
  await shown(10);
  await tell(99, 1);
  await tell(20, 2);
  await shown(20);
  expect(operator.complaints()).toEqual([]);
});
