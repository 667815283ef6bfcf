/** What the real scheduler and node controller say of pods, as the resource's user reads it; the node is played. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type KubeObject, pods, type ResourceType } from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, eventually } from '../support/api/api-server.ts';
import { playOperator } from '../support/api/played-operator.ts';
import { tinyManifests } from '../support/tiny/index.ts';

const nodes: ResourceType = { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false };
/** Nothing that needs a claim: the scheduler would wait for it. */
const { build } = tinyManifests((place) => `s3://bucket/${place}`);

let server: ApiServer;
let operator: Awaited<ReturnType<typeof playOperator>>;
let namespace: string;

beforeAll(async () => {
  // A node that is silent for 4 s counts as lost, so that the test need not wait for 50.
  const controllerManagerFlags = ['--node-monitor-grace-period=4s', '--node-monitor-period=1s'];
  server = await ApiServer.start({ controllerManager: true, scheduler: true, controllerManagerFlags });
  operator = await playOperator(server.clientWith());
  namespace = await server.namespace();
  await server.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' } });
}, 900_000);
afterAll(async () => {
  clearInterval(heartbeat);
  await operator?.stop();
  await server?.stop();
});

let heartbeat: NodeJS.Timeout | undefined;
let capacity: Record<string, string> = {
  cpu: '8',
  memory: '64Gi',
  pods: '110',
  'ephemeral-storage': '100Gi',
};

/** What a kubelet says of its node, once. */
async function beat(): Promise<void> {
  const lastHeartbeatTime = new Date().toISOString();
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime };
  const status = { capacity, allocatable: capacity, conditions: [ready] };
  await server.client.merge(nodes, undefined, 'node-1', { status }, { subresource: 'status' });
}

async function nodeIsReady(): Promise<boolean> {
  const { status } = (await server.client.get(nodes, undefined, 'node-1')) as KubeObject & {
    status?: { conditions?: { type: string; status: string }[] };
  };
  return status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') ?? false;
}

async function waiting(): Promise<{ reason: string; message: string } | undefined> {
  const { status } = (await server.client.get(emulatorBuilds, namespace, 'gpu')) as KubeObject & {
    status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
  };
  return status?.conditions?.find(({ type, status: holds }) => type === 'Waiting' && holds === 'True');
}

interface Pod extends KubeObject {
  spec: { nodeName?: string };
  status: { conditions?: object[] };
}
const pod = async () => (await server.client.list<Pod>(pods, { namespace })).items[0];

it('a pod of provider cuda waits for a GPU, lands where one comes, and its lost node is named', async () => {
  await beat();
  heartbeat = setInterval(() => void beat().catch(() => {}), 1000);
  const spec = { ...build.spec, engine: { provider: 'cuda' }, work: { uri: 's3://bucket/work' } };
  await server.client.create<KubeObject>(emulatorBuilds, {
    ...build,
    spec,
    metadata: { name: 'gpu', namespace },
  });
  await eventually('the condition says that there is no GPU', async () =>
    /Insufficient nvidia\.com\/gpu/.test((await waiting())?.message ?? ''),
  );
  expect((await waiting())?.reason).toBe('Unschedulable');

  capacity = { ...capacity, 'nvidia.com/gpu': '1' };
  await eventually('the pod is on the node', async () => (await pod())?.spec.nodeName === 'node-1');
  await eventually('the condition is taken back', async () => (await waiting()) === undefined);

  const { metadata, status } = (await pod())!;
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() };
  const container = {
    name: 'worker',
    image: 'w',
    imageID: 'w',
    ready: true,
    restartCount: 0,
    state: { running: {} },
  };
  const running = {
    phase: 'Running',
    conditions: [...(status.conditions ?? []), ready],
    containerStatuses: [container],
  };
  await server.client.merge(pods, namespace, metadata.name, { status: running }, { subresource: 'status' });
  // A node that a stall made silent before is not told of as lost once more.
  await eventually('the node is ready', nodeIsReady);
  clearInterval(heartbeat);
  await eventually('the lost node is named', async () => (await waiting())?.reason === 'NodeLost');
  expect((await waiting())?.message).toMatch(/^node node-1 of pod gpu-probe-\S+ has not answered since/);
});
