import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { chart, helm, release } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';
import { tinyManifests } from '../support/tiny/index.ts';

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

  it('becomes the one now by helm upgrade, object by object', () => {
    expect(helm(['install', name, before, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
    natsBefore = nats();
    const old = uids();
    expect(old.length).toBeGreaterThan(5);
    expect(helm(['upgrade', name, chart, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
    expect(uids()).toEqual(old);
  });

  it('goes back without its definitions, which keep what is stored, and comes again', async () => {
    const old = uids();
    if (name === 'plain') {
      kubectl(['apply', '--filename', '-'], JSON.stringify(hidden));
      const without = (kind: string, field: string) => () => {
        const path = `/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/${field}`;
        const patch = JSON.stringify([{ op: 'remove', path }]);
        kubectl([
          'patch',
          'crd',
          `${kind}.offsite-tuning.dev`,
          '--type=json',
          '--dry-run=server',
          '--patch',
          patch,
        ]);
      };
      await vi.waitFor(() => expect(without('offsitetunes', 'suspend')).toThrow('in spec: suspend.'), {
        timeout: 60_000,
        interval: 500,
      });
      expect(without('offsitetunes', 'data/properties/digest')).toThrow('in spec: data.');
      expect(without('offsitetunes', 'data/properties/validation/properties/digest')).toThrow(
        'in spec: data.',
      );
      expect(without('plugins', 'adapters/items/properties/secretRef')).toThrow('in spec: adapters.');
      expect(without('plugins', 'adapters/description')).not.toThrow();
      const refused = helm(['rollback', name, '1', ...where()]);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toMatch(
        /would take it out of stored resources for good, in spec: .*privacy, .*crds\.install=false/s,
      );
      expect(storedPrivacy()).toEqual(hidden.spec.privacy);
    }
    const without = { ...more, crds: { install: false } };
    expect(helm(['upgrade', name, before, ...where()], without)).toMatchObject({ status: 0, stderr: '' });
    expect(uids()).toEqual(old);
    expect(storedPrivacy()).toEqual(hidden.spec.privacy);
    if (name === 'plain') {
      // The guard outlives the release that it came with.
      const again = helm(['upgrade', name, before, ...where()], more);
      expect([again.status, again.stderr]).toEqual([
        1,
        expect.stringContaining('would take it out of stored resources'),
      ]);
      expect(storedPrivacy()).toEqual(hidden.spec.privacy);
    }
    expect(helm(['upgrade', name, chart, ...where()], more)).toMatchObject({ status: 0, stderr: '' });
    expect(storedPrivacy()).toEqual(hidden.spec.privacy);
  });

  it('starts NATS anew for its configuration, its probes and its monitoring port, and for nothing else', () => {
    expect(withoutThose(nats())).toEqual(withoutThose(natsBefore));
  });
});

/** A resource with a field that the chart before does not know. */
const { tune } = tinyManifests((place) => `pvc://team/${place}`);
const hidden = {
  ...tune,
  metadata: { name: 'hidden', namespace: 'data' },
  spec: { ...tune.spec, suspend: true, privacy: { epsilon: '8' } },
};
const storedPrivacy = () => get('offsitetune', 'hidden', '--namespace', 'data').spec.privacy;

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
