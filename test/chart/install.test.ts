import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart, helm, type Manifest, release, render } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { podsOf } from '../support/chart/restricted.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';

// Against a real API server with Pod Security `restricted`; nothing runs here but the API.
let plane: ControlPlane;
const kubectl = (args: readonly string[], input?: string) => run(plane.kubeconfig, args, input);
const get = (...args: string[]) => JSON.parse(kubectl(['get', ...args, '--output', 'json']));

const { name, namespace } = release;
const onCluster = (command: string, args: readonly string[], values?: object) => {
  const where = ['--namespace', namespace, '--kubeconfig', plane.kubeconfig];
  const result = helm([command, name, ...args, ...where], values);
  expect(result.status, result.stderr).toBe(0);
  return result;
};

const quickstart = fileURLToPath(new URL('../../examples/quickstart', import.meta.url));
/** What people have: their resources, as they wrote them. */
const users = () =>
  (get('offsite', '--namespace', 'models').items as Manifest[]).map(({ kind, metadata, spec }) => ({
    kind,
    metadata: { ...metadata, managedFields: undefined },
    spec,
  }));

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: true });
  for (const each of [namespace, 'models', 'data', 'monitoring']) {
    kubectl(['create', 'namespace', each]);
    for (const mode of ['enforce', 'warn'])
      kubectl(['label', 'namespace', each, `pod-security.kubernetes.io/${mode}=restricted`]);
  }
}, 1_200_000);

afterAll(() => plane?.stop());

describe('a release', () => {
  it('is installed without a warning, and teaches the first steps', () => {
    const { stdout, stderr } = onCluster('install', [chart]);
    expect(stderr).toBe('');
    expect(stdout).toContain('kubectl get offsite');
    expect(get('crd').items.map(({ metadata }: Manifest) => metadata.name)).toEqual([
      'emulatorbuilds.offsite-tuning.dev',
      'offsitetunes.offsite-tuning.dev',
      'plugins.offsite-tuning.dev',
    ]);
    expect(get('deployment', `${name}-operator`, '--namespace', namespace).spec.replicas).toBe(2);
  });

  it('lets the three kinds be applied', () => {
    kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    kubectl(['apply', '--namespace', 'models', '--filename', quickstart]);
    expect(users().map(({ kind }) => kind)).toEqual(['EmulatorBuild', 'OffsiteTune', 'PlugIn']);
  });

  it('may what it needs, and no more', () => {
    const operator = `system:serviceaccount:${namespace}:${name}-operator`;
    expect(may(operator, 'models', 'patch', 'emulatorbuilds', 'status')).toBe(true);
    expect(may(operator, 'models', 'create', 'jobs')).toBe(true);
    expect(may(operator, 'models', 'update', 'emulatorbuilds')).toBe(false);
    expect(may(operator, 'models', 'patch', 'jobs')).toBe(false);
    expect(may(operator, 'models', 'get', 'secrets')).toBe(false);
    expect(may(operator, 'models', 'list', 'secrets')).toBe(false);
    expect(may(operator, 'models', 'create', 'pods')).toBe(false);
    expect(may(operator, namespace, 'get', `secrets/${name}-nats-auth`)).toBe(true);
    expect(may(operator, namespace, 'get', 'secrets/other')).toBe(false);
    expect(may(operator, namespace, 'update', `leases/${name}-operator`)).toBe(true);
    expect(may(operator, namespace, 'update', 'leases/other')).toBe(false);
  });

  it('lets model owners and data owners do their part', () => {
    for (const role of ['offsite-model-owner', 'offsite-data-owner', 'view', 'edit', 'admin'])
      kubectl([
        'create',
        'rolebinding',
        role,
        '--clusterrole',
        role,
        '--user',
        role,
        '--namespace',
        'models',
      ]);
    expect(may('offsite-model-owner', 'models', 'create', 'emulatorbuilds')).toBe(true);
    expect(may('offsite-model-owner', 'models', 'create', 'offsitetunes')).toBe(false);
    expect(may('offsite-model-owner', 'data', 'create', 'emulatorbuilds')).toBe(false);
    expect(may('offsite-data-owner', 'models', 'create', 'offsitetunes')).toBe(true);
    expect(may('offsite-data-owner', 'models', 'create', 'plugins')).toBe(false);
    expect(may('offsite-data-owner', 'models', 'patch', 'offsitetunes', 'status')).toBe(false);
    // The cluster's own roles take them up as the values say.
    expect(may('view', 'models', 'list', 'plugins')).toBe(true);
    expect(may('edit', 'models', 'create', 'plugins')).toBe(false);
    expect(may('admin', 'models', 'create', 'plugins')).toBe(true);
  });

  it('is upgraded in place: users lose nothing', () => {
    const before = users();
    onCluster('upgrade', [chart], {
      operator: { replicas: 3 },
      rbac: { userRoles: { aggregateToEdit: true } },
    });
    expect(users()).toEqual(before);
    expect(get('deployment', `${name}-operator`, '--namespace', namespace).spec.replicas).toBe(3);
  });

  it('upgrades the kinds too', () => {
    const crd = 'emulatorbuilds.offsite-tuning.dev';
    const columns = () => get('crd', crd).spec.versions[0].additionalPrinterColumns.length;
    const now = columns();
    // As an older version of the chart left it.
    const patch = [{ op: 'remove', path: '/spec/versions/0/additionalPrinterColumns/0' }];
    kubectl(['patch', 'crd', crd, '--type', 'json', '--patch', JSON.stringify(patch)]);
    expect(columns()).toBe(now - 1);
    onCluster('upgrade', [chart]);
    expect(columns()).toBe(now);
  });

  it('goes, and leaves the kinds and what users have', () => {
    const before = users();
    const { stdout } = onCluster('uninstall', []);
    expect(stdout).toContain('kept due to the resource policy');
    expect(users()).toEqual(before);
    const left = get('deployments,statefulsets,services,configmaps,roles', '--namespace', namespace).items;
    expect(
      left.filter(({ metadata }: Manifest) => metadata.labels?.['app.kubernetes.io/instance'] === name),
    ).toEqual([]);
  });

  it('comes back over them', () => {
    const before = users();
    onCluster('install', [chart]);
    expect(users()).toEqual(before);
    onCluster('uninstall', []);
  });

  it('takes over kinds that came from crds/', () => {
    kubectl(['delete', 'crd', '--all', '--timeout=60s']);
    const crds = fileURLToPath(new URL('../../crds', import.meta.url));
    kubectl(['apply', '--server-side', '--filename', crds]);
    const where = ['--namespace', namespace, '--kubeconfig', plane.kubeconfig];
    expect(helm(['install', name, chart, ...where]).stderr).toContain(
      'cannot be imported into the current release',
    );
    onCluster('install', [chart, '--take-ownership']);
    onCluster('uninstall', []);
  });
});

it('would hear of a pod that is not restricted', () => {
  const [pod] = podsOf(render());
  const root = { ...pod!.spec, securityContext: {}, serviceAccountName: 'default' };
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'root', namespace }, spec: root };
  const dryRun = () => kubectl(['create', '--dry-run=server', '--filename', '-'], JSON.stringify(object));
  expect(dryRun).toThrow('violates PodSecurity "restricted:latest"');
});

/** Kinds of the Prometheus Operator, which is not here. */
const foreign = ['ServiceMonitor', 'PodMonitor', 'PrometheusRule'];

describe.each(Object.entries(modes))('rendered, %s', (_, values) => {
  it('is taken by the API server, pods and all', () => {
    const manifests = render(values).filter(({ kind }) => !foreign.includes(kind));
    const pods = podsOf(manifests).map(({ labels, spec }, i) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${i}`, namespace, labels },
      // What only the controller or the scheduler would fill in.
      spec: { ...spec, serviceAccountName: 'default', volumes: volumesOf(spec.volumes) },
    }));
    const list = { apiVersion: 'v1', kind: 'List', items: [...manifests, ...pods] };
    const dryRun = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--filename', '-'];
    kubectl(dryRun, JSON.stringify(list));
  });
});

/** A StatefulSet's claims are volumes of its pods. */
const volumesOf = (volumes: Record<string, unknown>[] = []) =>
  volumes.some((volume) => volume['name'] === 'data') ||
  !volumes.some((volume) => volume['name'] === 'config')
    ? volumes
    : [...volumes, { name: 'data', persistentVolumeClaim: { claimName: 'data' } }];

/** Whether the API server would let this user do that. */
function may(user: string, where: string, verb: string, what: string, subresource?: string): boolean {
  const [resource, object] = what.split('/');
  const groups: Record<string, string> = {
    jobs: 'batch',
    leases: 'coordination.k8s.io',
    secrets: '',
    pods: '',
  };
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user,
      resourceAttributes: {
        namespace: where,
        verb,
        resource,
        group: groups[resource as string] ?? 'offsite-tuning.dev',
        ...(object && { name: object }),
        ...(subresource && { subresource }),
      },
    },
  };
  const answer = kubectl(['create', '--output', 'json', '--filename', '-'], JSON.stringify(review));
  return JSON.parse(answer).status.allowed;
}
