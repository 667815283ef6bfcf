import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { crds } from '../../src/api/index.ts';
import { chart, helm, type Manifest, ofKind, one, release, render, template } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { podsOf, problemsOf } from '../support/chart/restricted.ts';

const clusterScoped = [
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
  'FlowSchema',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
];
const isIn = (labels: Record<string, string> = {}, selector: Record<string, string>) =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

describe.each(Object.entries(modes))('the chart, %s', (_, values) => {
  const manifests = render(values);
  const pods = podsOf(manifests);

  it('passes helm lint --strict', () => {
    const { status, stdout, stderr } = helm(['lint', '--strict', chart], values);
    expect([status, stderr], stdout).toEqual([0, '']);
  });

  it('names every object once, with a namespace where there is one', () => {
    const keys = manifests.map(
      ({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
    );
    expect(new Set(keys).size).toBe(keys.length);
    for (const { kind, metadata } of manifests) {
      expect(metadata.namespace !== undefined, `${kind} ${metadata.name}`).toBe(
        !clusterScoped.includes(kind),
      );
      expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
    }
  });

  it('lets an operator have five minutes to start in: on a node that is full it takes more than one', () => {
    const [container] = one(manifests, 'Deployment')['spec'].template.spec.containers;
    const { periodSeconds, failureThreshold } = container.startupProbe;
    expect(periodSeconds * failureThreshold).toBeGreaterThanOrEqual(300);
  });

  it('labels every object', () => {
    const more = 'commonLabels' in values ? (values.commonLabels as Record<string, string>) : {};
    for (const { kind, metadata } of manifests)
      expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
        'app.kubernetes.io/name': 'offsite-tuning',
        'app.kubernetes.io/instance': release.name,
        'app.kubernetes.io/managed-by': 'Helm',
        ...more,
      });
  });

  it('has only pods that Pod Security `restricted` takes', () => {
    expect(pods.length).toBeGreaterThan(1);
    const numbered = !('userIds' in values && values.userIds === 'cluster');
    for (const pod of pods) expect(problemsOf(pod, { numbered }), pod.owner).toEqual([]);
  });

  it('pins every image by a tag', () => {
    for (const { owner, spec } of pods)
      for (const { image } of spec.containers) {
        expect(image, owner).toMatch(/^[a-z0-9][^\s@]*:[A-Za-z0-9_][-A-Za-z0-9_.]*(@sha256:[0-9a-f]{64})?$/);
        expect(image, owner).not.toMatch(/:latest(@|$)/);
      }
  });

  it('selects what it means', () => {
    for (const { kind, metadata, spec } of manifests) {
      if (kind === 'Deployment' || kind === 'StatefulSet')
        expect(isIn(spec.template.metadata.labels, spec.selector.matchLabels), metadata.name).toBe(true);
      if (kind === 'Service') {
        const [pod, ...others] = pods.filter(({ labels }) => isIn(labels, spec.selector));
        expect(others, metadata.name).toEqual([]);
        const names = pod?.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
        for (const { targetPort } of spec.ports) expect(names, metadata.name).toContain(targetPort);
      }
      if (
        kind === 'PodDisruptionBudget' ||
        (kind === 'NetworkPolicy' && metadata.namespace === release.namespace)
      ) {
        const selector = (spec.selector ?? spec.podSelector).matchLabels;
        expect(
          pods.filter(({ labels }) => isIn(labels, selector)),
          `${kind} ${metadata.name}`,
        ).toHaveLength(1);
      }
      if (kind === 'ServiceMonitor') {
        const service = ofKind(manifests, 'Service').filter((other) =>
          isIn(other.metadata.labels, spec.selector.matchLabels),
        );
        expect(service.map((other) => other['spec'].ports[0].name)).toEqual([spec.endpoints[0].port]);
      }
    }
  });

  it('gives no wildcard, and binds roles that exist to accounts that exist', () => {
    for (const { kind, metadata, rules } of manifests.filter(({ kind }) => kind.endsWith('Role')))
      for (const rule of rules) expect(JSON.stringify(rule), `${kind} ${metadata.name}`).not.toContain('*');
    const accounts = ofKind(manifests, 'ServiceAccount').map(({ metadata }) => metadata.name);
    for (const { kind, metadata, roleRef, subjects } of manifests.filter(({ kind }) =>
      /(^|Cluster)RoleBinding$/.test(kind),
    )) {
      const role = manifests.filter(
        (other) =>
          other.kind === roleRef.kind &&
          other.metadata.name === roleRef.name &&
          other.metadata.namespace === (roleRef.kind === 'Role' ? metadata.namespace : undefined),
      );
      expect(role, `${kind} ${metadata.name}`).toHaveLength(1);
      for (const { name, namespace } of subjects) {
        expect(accounts).toContain(name);
        expect(namespace).toBe(release.namespace);
      }
    }
  });

  it('holds no secret', () => expect(ofKind(manifests, 'Secret')).toEqual([]));
});

const everything = render(modes['everything']);
const standard = render();

test('the definitions are those of crds/, and stay when the release goes', () => {
  const definitions = ofKind(standard, 'CustomResourceDefinition');
  const bare = ({ metadata: { labels: _, ...metadata }, ...rest }: Manifest) => ({ ...rest, metadata });
  expect(definitions.map(bare)).toEqual(JSON.parse(JSON.stringify(crds())));
  const guard = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map((kind) =>
    one(standard, kind),
  );
  for (const { metadata } of [...definitions, ...guard])
    expect(metadata.annotations).toMatchObject({
      'helm.sh/resource-policy': 'keep',
      'argocd.argoproj.io/sync-options': 'Prune=false,Delete=false',
      'kustomize.toolkit.fluxcd.io/prune': 'disabled',
    });
  expect(ofKind(render(modes['least']), 'CustomResourceDefinition')).toEqual([]);
});

test('the chart has the version of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { stdout } = helm(['lint', chart]);
  expect(stdout).not.toContain('ERROR');
  const { labels } = one(standard, 'Deployment').metadata;
  expect(labels?.['helm.sh/chart']).toBe(`offsite-tuning-${version}`);
  expect(labels?.['app.kubernetes.io/version']).toBe(version);
});

test('without watchNamespaces the operator has a ClusterRole; with them a Role in each, and no reach beyond', () => {
  const cluster = ofKind(standard, 'ClusterRole').filter(({ metadata }) =>
    metadata.name.endsWith('-operator'),
  );
  const { rules } = cluster[0] as Manifest;
  const bound = render(modes['two namespaces']);
  const users = ['offsite-data-owner', 'offsite-model-owner', 'offsite-viewer'];
  expect(
    ofKind(bound, 'ClusterRole')
      .map(({ metadata }) => metadata.name)
      .sort(),
  ).toEqual(users);
  expect(ofKind(bound, 'ClusterRoleBinding')).toEqual([]);
  const roles = ofKind(bound, 'Role').filter(({ metadata }) => metadata.namespace !== release.namespace);
  expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(['models', 'data']);
  for (const role of roles) expect(role['rules']).toEqual(rules);
  const env = one(bound, 'Deployment')['spec'].template.spec.containers[0].env;
  expect(env).toContainEqual({ name: 'OFFSITE_NAMESPACES', value: 'models,data' });
});

test('the operator reads every variable that it is given', () => {
  const settings = readFileSync(new URL('../../operator/settings.ts', import.meta.url), 'utf8');
  const { env } = one(everything, 'Deployment')['spec'].template.spec.containers[0];
  const names = (env as { name: string }[])
    .map(({ name }) => name)
    .filter((name) => name.startsWith('OFFSITE_'));
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) expect(settings).toContain(`'${name}'`);
});

test('the operator reads no Secret but its own, and changes nothing that users wrote', () => {
  const rules = [...ofKind(standard, 'ClusterRole'), ...ofKind(standard, 'Role')]
    .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'operator')
    .flatMap((role) => role['rules'] as { resources: string[]; verbs: string[]; resourceNames?: string[] }[]);
  for (const { resources, verbs, resourceNames } of rules) {
    if (resources.includes('secrets') && verbs.some((verb) => verb !== 'create'))
      expect(resourceNames).toEqual(['offsite-tuning-nats-auth']);
    if (resources.includes('emulatorbuilds')) expect(verbs).toEqual(['list', 'watch']);
  }
});

test('model owners do not write OffsiteTunes, data owners nothing else', () => {
  const may = (role: string) =>
    (one(standard, 'ClusterRole', role)['rules'] as { resources: string[]; verbs: string[] }[])
      .filter(({ verbs }) => verbs.includes('create'))
      .flatMap(({ resources }) => resources);
  expect(may('offsite-model-owner')).toEqual(['emulatorbuilds', 'plugins']);
  expect(may('offsite-data-owner')).toEqual(['offsitetunes']);
  expect(may('offsite-viewer')).toEqual([]);
});

function variableOf(manifests: Manifest[], name: string): string {
  const env: { name: string; value: string }[] = one(manifests, 'Deployment')['spec'].template.spec
    .containers[0].env;
  return env.find((entry) => entry.name === name)!.value;
}

test('the hosts that worker pods may ask go to the operator; any where none is named', () => {
  expect(variableOf(everything, 'OFFSITE_WORKER_HTTPS_HOSTS')).toBe('data.example.com,*.hf.co');
  expect(variableOf(standard, 'OFFSITE_WORKER_HTTPS_HOSTS')).toBe('');
});

test("what resources' templates may ask for goes to the operator; nothing where nothing is allowed", () => {
  expect(variableOf(everything, 'OFFSITE_WORKER_ALLOW_IN_TEMPLATES')).toBe('hostPaths,serviceAccounts');
  expect(variableOf(standard, 'OFFSITE_WORKER_ALLOW_IN_TEMPLATES')).toBe('');
});

test('how many times what they are given worker pods may take goes to the operator', () => {
  const ofBoth = (manifests: Manifest[]) => [
    variableOf(manifests, 'OFFSITE_WORKER_MEMORY_LIMIT'),
    variableOf(manifests, 'OFFSITE_WORKER_STORAGE_LIMIT'),
  ];
  expect(ofBoth(standard)).toEqual(['2', '0']);
  const worker = { limitFactors: { memory: 0, ephemeralStorage: 1.5 } };
  expect(ofBoth(render({ worker }))).toEqual(['0', '1.5']);
});

test('the defaults of worker pods are pod templates', () => {
  const defaultsIn = (name: string) => JSON.parse(variableOf(everything, name));
  expect(defaultsIn('OFFSITE_WORKER_TEMPLATE').at(-1)).toEqual({
    metadata: { labels: { team: 'ml' }, annotations: { 'example.com/cost': 'training' } },
    spec: {
      imagePullSecrets: [{ name: 'pull' }],
      nodeSelector: { pool: 'cpu' },
      containers: [{ name: 'worker', resources: { limits: { memory: '64Gi' } } }],
    },
  });
  expect(defaultsIn('OFFSITE_WORKER_CUDA_TEMPLATE')).toEqual({
    spec: {
      nodeSelector: { 'nvidia.com/gpu.present': 'true' },
      runtimeClassName: 'nvidia',
      tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
      containers: [{ name: 'worker', resources: { limits: { 'nvidia.com/gpu': 1 } } }],
    },
  });
  expect(defaultsIn('OFFSITE_WORKER_WEBGPU_TEMPLATE')).toEqual({
    spec: { affinity: { nodeAffinity: {} }, securityContext: { supplementalGroups: [44, 109] } },
  });
});

test('the GPU of each provider goes to the operator with its image', () => {
  const of = (manifests: Manifest[]) =>
    ['CUDA', 'WEBGPU'].flatMap((provider) =>
      ['GPU', 'IMAGE'].map((what) => variableOf(manifests, `OFFSITE_WORKER_${provider}_${what}`)),
    );
  const [cuda, cudaImage, webgpu, webgpuImage] = of(standard);
  expect([cuda, webgpu]).toEqual(['nvidia.com/gpu', '']);
  expect([cudaImage, webgpuImage]).toEqual([
    expect.stringMatching(/^offsite-worker-cuda:/),
    expect.stringMatching(/^offsite-worker-webgpu:/),
  ]);
  expect(of(everything)).toEqual([
    'nvidia.com/gpu',
    expect.anything(),
    'gpu.intel.com/xe',
    expect.stringMatching(/vulkan-worker:/),
  ]);
  const worker = { cuda: { gpu: '' }, webgpu: { gpu: 'nvidia.com/mig-1g.10gb' } };
  const [none, , slice] = of(render({ worker }));
  expect([none, slice]).toEqual(['', 'nvidia.com/mig-1g.10gb']);
});

test.each([
  [{ worker: { webgpu: { gpu: 'gpu' } } }, "at '/worker/webgpu/gpu': 'gpu' does not match pattern"],
  [
    { worker: { webgpu: { gpus: 'amd.com/gpu' } } },
    "at '/worker/webgpu': additional properties 'gpus' not allowed",
  ],
  [{ operator: { replicas: 0 } }, "at '/operator/replicas': minimum: got 0, want 1"],
  [{ operator: { replica: 3 } }, "at '/operator': additional properties 'replica' not allowed"],
  [{ operators: {} }, "additional properties 'operators' not allowed"],
  [{ nats: { mode: 'internal' } }, "at '/nats/mode': value must be one of 'embedded', 'external'"],
  [{ nats: { maxStorage: '3GB' } }, "at '/nats/maxStorage': '3GB' does not match pattern"],
  [{ watchNamespaces: ['A_b'] }, "at '/watchNamespaces/0': 'A_b' does not match pattern"],
  [{ watchNamespaces: 'models' }, "at '/watchNamespaces': got string, want array"],
  [
    { worker: { httpsHosts: ['https://data.example.com'] } },
    "at '/worker/httpsHosts/0': 'https://data.example.com' does not match pattern",
  ],
  [{ worker: { limitFactors: { memory: 0.5 } } }, "at '/worker/limitFactors/memory': 'anyOf' failed"],
  [{ worker: { image: { pullPolicy: 'always' } } }, "at '/worker/image/pullPolicy': value must be one of"],
  [{ nats: { mode: 'external' } }, 'nats.external.url is needed with nats.mode external'],
  [
    { nats: { mode: 'external', external: { url: 'nats://me:secret@nats:4222' } } },
    "at '/nats/external/url'",
  ],
  [
    { networkPolicy: { workers: { enabled: true } } },
    'networkPolicy.workers.enabled needs networkPolicy.workers.namespaces or watchNamespaces',
  ],
  [
    {
      ...{ nats: { mode: 'external', external: { url: 'tls://nats.example.com:4222' } } },
      networkPolicy: { workers: { enabled: true, namespaces: ['models'] } },
    },
    'networkPolicy.workers.enabled with nats.mode external needs networkPolicy.natsTo',
  ],
  ...['natsPorts', 'dnsPorts', 'apiServerPorts'].map((ports): [object, string] => [
    { networkPolicy: { [ports]: [] } },
    `at '/networkPolicy/${ports}': minItems: got 0, want 1`,
  ]),
  [
    { operator: { serviceAccount: { create: false } } },
    'operator.serviceAccount.name is needed with operator.serviceAccount.create false',
  ],
  [
    { monitoring: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } } },
    'would scrape the operator twice',
  ],
  [{ proxy: { https: 'http://me:secret@proxy:3128' } }, "at '/proxy/https'"],
  [{ operator: { livenessProbe: { periodSeconds: '5s' } } }, "at '/operator/livenessProbe/periodSeconds'"],
  [{ nats: { image: { tag: '' } } }, "an image's tag must not be empty"],
])('%j is refused with a message', (values, message) => {
  const { status, stderr } = template(values);
  expect(stderr).toContain(message);
  expect(status).toBe(1);
});
