import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart, helm, release } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';

// A release of the chart as it was (packed on 2026-11-28), upgraded to the chart as it is, on a real API server.
const before = fileURLToPath(new URL('../fixtures/chart/before-2026-11.tgz', import.meta.url));
let plane: ControlPlane;
const kubectl = (args: readonly string[], input?: string) => run(plane.kubeconfig, args, input);
const get = (...args: string[]) => JSON.parse(kubectl(['get', ...args, '--output', 'json']));

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: true });
  for (const each of [release.namespace, 'models', 'data']) kubectl(['create', 'namespace', each]);
}, 1_200_000);
afterAll(async () => {
  await plane?.stop();
});

const { imagePullSecrets, watchNamespaces, operator } = modes['everything'] as Record<string, object>;
const { worker } = modes['everything'] as { worker: Record<string, object> };
const { allowInTemplates: _powers, webgpu: _webgpu, ...oldWorker } = worker;

describe.each([
  ['as it comes', 'plain', {}],
  [
    'with values of the old chart',
    'valued',
    { imagePullSecrets, watchNamespaces, operator, worker: oldWorker },
  ],
])('the chart before, installed %s', (_, name, values) => {
  const where = () => ['--namespace', release.namespace, '--kubeconfig', plane.kubeconfig];
  const more = {
    ...values,
    rbac: { userRoles: { create: name === 'plain' } },
    crds: { install: name === 'plain' },
  };
  const own = `app.kubernetes.io/instance=${name}`;
  const uids = () =>
    get(
      'deployments,statefulsets,services,serviceaccounts,roles',
      '--namespace',
      release.namespace,
      '--selector',
      own,
    )
      .items.map(({ kind, metadata }: { kind: string; metadata: { name: string; uid: string } }) =>
        [kind, metadata.name, metadata.uid].join(' '),
      )
      .sort();

  const nats = (): PodTemplate =>
    get('statefulset', `${name}-offsite-tuning-nats`, '--namespace', release.namespace).spec.template;
  let natsBefore: PodTemplate;

  it('becomes the one now by helm upgrade, object by object, and goes back', () => {
    expect(helm(['install', name, before, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
    natsBefore = nats();
    const old = uids();
    expect(old.length).toBeGreaterThan(5);
    expect(helm(['upgrade', name, chart, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
    expect(uids()).toEqual(old);
    expect(helm(['rollback', name, '1', ...where()])).toMatchObject({ status: 0 });
    expect(uids()).toEqual(old);
    expect(helm(['upgrade', name, chart, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
  });

  it('starts NATS anew for its configuration, its probes and its monitoring port, and for nothing else', () => {
    expect(withoutThose(nats())).toEqual(withoutThose(natsBefore));
  });
});

interface PodTemplate {
  metadata: { annotations: Record<string, string> };
  spec: { containers: Record<string, unknown>[] };
}

function withoutThose({ metadata, spec }: PodTemplate) {
  const { 'checksum/config': _, ...annotations } = metadata.annotations;
  const containers = spec.containers.map(
    ({ startupProbe, livenessProbe, readinessProbe, ports, ...container }) => ({
      ...container,
      ports: (ports as { name: string }[]).filter((port) => port.name !== 'monitor'),
    }),
  );
  return { metadata: { ...metadata, annotations }, spec: { ...spec, containers } };
}

it('the definitions have the labels of the release since, and the resources that they had', () => {
  const { metadata } = get('crd', 'plugins.offsite-tuning.dev');
  expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/instance': 'plain' });
  expect(metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' });
});
