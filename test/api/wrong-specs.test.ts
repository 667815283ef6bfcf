/** What the schemas cannot see to be wrong: the operator names the field in a condition, and goes on when it is put right. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { KubeObject, ResourceType } from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, eventually, offsiteTunes, plugIns } from '../support/api/api-server.ts';
import { Kubelet } from '../support/api/kubelet.ts';
import { OperatorBundle } from '../support/api/operator-process.ts';
import { type Recorded, recordResults } from '../support/api/recorded.ts';
import { type Path, withField } from '../support/api/schema.ts';

let server: ApiServer;
let recorded: Recorded;
let bundle: OperatorBundle;
let kubelet: Kubelet;
let namespace: string;
beforeAll(async () => {
  [server, recorded] = await Promise.all([ApiServer.start({ controllerManager: true }), recordResults()]);
  namespace = await server.namespace();
  bundle = new OperatorBundle();
  const flags = ['--namespaces', namespace, '--leader-election', 'false'];
  bundle.start(server.plane.kubeconfig, ...flags);
  kubelet = new Kubelet(server.client, { results: recorded.results });
  await kubelet.start();
  // What the references of right manifests lead to.
  await create(emulatorBuilds, { ...recorded.manifests.build }, 'tiny');
  await create(offsiteTunes, { ...recorded.manifests.tune }, 'tiny');
  await eventually('they are Complete', () => isComplete(offsiteTunes, 'tiny'), 120_000);
}, 900_000);
afterAll(async () => {
  kubelet?.stop();
  await bundle?.remove();
  await server?.stop();
});

interface Status {
  phase?: string;
  conditions?: { type: string; status: string; message: string }[];
}
const create = (type: ResourceType, manifest: KubeObject, name: string) =>
  server.client.create<KubeObject>(type, {
    ...manifest,
    metadata: { ...manifest.metadata, name, namespace },
  });
const statusOf = async (type: ResourceType, name: string) =>
  ((await server.client.get(type, namespace, name))['status'] ?? {}) as Status;
const isComplete = async (type: ResourceType, name: string) =>
  (await statusOf(type, name)).phase === 'Complete';

const template = (value: unknown): [Path, unknown] => [['spec', 'template'], value];
const worker = (fields: object) => template({ spec: { containers: [{ name: 'worker', ...fields }] } });

/** A wrong value of a field, and the field that the message must name. */
const wrong: [type: ResourceType, of: keyof Recorded['manifests'], [Path, unknown], named: string][] = [
  [emulatorBuilds, 'build', template({ spec: 'nonsense' }), 'spec.template.spec'],
  [emulatorBuilds, 'build', template({ spec: { nonsense: 1 } }), 'nonsense'],
  [emulatorBuilds, 'build', template({ metadata: { labels: { a: 1 } } }), 'spec.template.metadata.labels.a'],
  [emulatorBuilds, 'build', template({ spec: { containers: 'worker' } }), 'spec.template.spec.containers'],
  [
    emulatorBuilds,
    'build',
    template({ spec: { containers: [{}] } }),
    'spec.template.spec.containers[0].name',
  ],
  [emulatorBuilds, 'build', template({ spec: { nodeSelector: { a: 1 } } }), 'nodeSelector'],
  [emulatorBuilds, 'build', template({ spec: { volumes: [{ name: 'A B' }] } }), 'spec.template.spec.volumes'],
  [
    emulatorBuilds,
    'build',
    template({ spec: { terminationGracePeriodSeconds: 'long' } }),
    'terminationGracePeriodSeconds',
  ],
  [emulatorBuilds, 'build', worker({ image: 7 }), 'image'],
  [emulatorBuilds, 'build', worker({ resources: { requests: { cpu: 'many' } } }), 'spec.template'],
  [
    emulatorBuilds,
    'build',
    worker({ resources: { requests: { memory: '2Gi' }, limits: { memory: '1Gi' } } }),
    'resources.requests',
  ],
  [emulatorBuilds, 'build', worker({ env: [{ name: 'A', value: 1 }] }), 'env'],
  [offsiteTunes, 'tune', [['spec', 'emulator', 'ref', 'name'], 'missing'], 'spec.emulator.ref'],
  [plugIns, 'plug', [['spec', 'emulator', 'ref', 'name'], 'missing'], 'spec.emulator.ref'],
  [plugIns, 'plug', [['spec', 'adapter', 'ref', 'name'], 'missing'], 'spec.adapter.ref'],
  [
    emulatorBuilds,
    'build',
    [['metadata', 'annotations'], { 'offsite-tuning.dev/model-size': 'large' }],
    'metadata.annotations[offsite-tuning.dev/model-size]',
  ],
];

it.each(
  wrong.map(([type, of, [path, value], named], i) => ({ type, of, path, value, named, name: `wrong-${i}` })),
)(
  '$type.kind: $path as $value is named, and goes on when it is put right',
  async ({ type, of, path, value, named, name }) => {
    const right: KubeObject = { ...recorded.manifests[of] };
    await create(type, withField(right, path, value), name);
    await eventually(`a condition names ${named}`, async () => {
      const { conditions = [] } = await statusOf(type, name);
      return conditions.some(({ status, message }) => status === 'True' && message.includes(named));
    });
    const told = (await statusOf(type, name)).conditions!;
    expect(told.filter(({ status }) => status === 'True').map(({ type: condition }) => condition)).toEqual([
      expect.stringMatching(/^(Failed|Waiting)$/),
    ]);
    const { spec } = right as { spec?: unknown };
    await eventually('it is put right', async () => {
      const now = await server.client.get<KubeObject>(type, namespace, name);
      const { annotations: _, ...metadata } = now.metadata;
      await server.client.replace(type, { ...now, metadata, spec });
      return true;
    });
    await eventually('it is Complete', () => isComplete(type, name), 120_000);
  },
);
