import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { parseDocument, stringify } from 'yaml';
import { readSettings } from '../../operator/settings.ts';
import {
  chart,
  helm,
  type Manifest,
  manifestsIn,
  ofKind,
  one,
  release,
  render,
  template,
} from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { podsOf } from '../support/chart/restricted.ts';

/** What an administrator may put over the chart's own, and that it does not get lost on its way. */
const containerOf = (manifests: Manifest[], kind = 'Deployment') =>
  one(manifests, kind)['spec'].template.spec.containers[0];
const environmentOf = (manifests: Manifest[]): Record<string, string> =>
  Object.fromEntries(
    (containerOf(manifests).env as { name: string; value?: string }[]).map(({ name, value = '' }) => [
      name,
      asTheKubelet(value),
    ]),
  );

/** What a container sees of a value: `$` for `$$`, and the variables that the operator has before it for `$(NAME)`. */
const asTheKubelet = (value: string) =>
  value.replace(/\$\$|\$\(POD_NAME\)/g, (found) => (found === '$$' ? '$' : 'offsite-operator-abcde'));

/** The pod templates that the operator reads out of what the chart gives it. */
const templatesOf = (values: object) => {
  const environment = environmentOf(render(values));
  return readSettings([
    ...['--worker-image', 'w', '--worker-template', environment['OFFSITE_WORKER_TEMPLATE'] ?? ''],
    ...['--worker-cuda-template', environment['OFFSITE_WORKER_CUDA_TEMPLATE'] ?? ''],
  ]).job;
};

test('what looks like a variable in worker.template is the pods’, not the operator’s', () => {
  const values = ['$(POD_NAME)', '$$(POD_NAME)', 'a$b', '$$'];
  const env = values.map((value, i) => ({ name: `A${i}`, value }));
  const spec = { containers: [{ name: 'worker', env }] };
  const { templates } = templatesOf({ worker: { template: { spec } } });
  expect(templates).toContainEqual(expect.objectContaining({ spec }));
});

describe('worker.template', () => {
  const spec = {
    securityContext: { runAsUser: null },
    initContainers: [{ name: 'warm', image: 'warm:1' }],
    containers: [
      { name: 'worker', env: [{ name: 'HF_ENDPOINT', value: 'https://hub.example.com' }] },
      { name: 'proxy', image: 'proxy:1' },
    ],
  };

  it('comes to the operator whole beside worker.resources, the proxy, the authorities, and with its nulls', () => {
    const { templates } = templatesOf({
      worker: { template: { spec }, resources: { limits: { memory: '8Gi' } } },
      proxy: { https: 'http://proxy.example.com:3128', except: '.svc' },
      caBundle: { configMap: 'trust', key: 'all.pem' },
    });
    expect(templates).toEqual([
      {
        spec: {
          containers: [
            {
              name: 'worker',
              env: [
                { name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' },
                { name: 'NO_PROXY', value: '.svc' },
                { name: 'NODE_EXTRA_CA_CERTS', value: '/etc/offsite/ca/ca.crt' },
              ],
              volumeMounts: [{ name: 'ca-bundle', mountPath: '/etc/offsite/ca', readOnly: true }],
            },
          ],
          volumes: [
            { name: 'ca-bundle', configMap: { name: 'trust', items: [{ key: 'all.pem', path: 'ca.crt' }] } },
          ],
        },
      },
      { spec },
      { spec: { containers: [{ name: 'worker', resources: { limits: { memory: '8Gi' } } }] } },
    ]);
  });

  it('is nothing where nothing is said', () => expect(templatesOf({}).templates).toEqual([]));
});

describe('userIds: cluster', () => {
  const values = { userIds: 'cluster' };

  it('states no user and no group in any pod, and asks of the others the same', () => {
    const pods = podsOf(render(values));
    expect(pods).toHaveLength(3);
    for (const { owner, spec } of pods)
      expect(spec.securityContext, owner).toEqual({
        runAsNonRoot: true,
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      });
  });

  it("takes the operator's own user and groups from worker pods", () => {
    const none = { runAsUser: null, runAsGroup: null, fsGroup: null };
    expect(templatesOf(values).templates).toEqual([{ spec: { securityContext: none } }]);
  });
});

test('a null takes one field of a security context away, another value takes its place', () => {
  const values = {
    operator: {
      securityContext: { runAsUser: null, fsGroup: 7 },
      containerSecurityContext: { readOnlyRootFilesystem: false, capabilities: null },
    },
  };
  const { securityContext } = one(render(values), 'Deployment')['spec'].template.spec;
  expect(securityContext).toEqual({
    runAsNonRoot: true,
    runAsGroup: 65532,
    fsGroup: 7,
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  });
  expect(containerOf(render(values)).securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: false,
    runAsNonRoot: true,
  });
});

test('figures of probes and the strategy go over the defaults one by one', () => {
  const manifests = render({
    operator: { livenessProbe: { timeoutSeconds: 20 }, strategy: { type: 'Recreate', rollingUpdate: null } },
    nats: { startupProbe: { failureThreshold: 300 } },
  });
  expect(one(manifests, 'Deployment')['spec'].strategy).toEqual({ type: 'Recreate' });
  expect(containerOf(manifests).livenessProbe).toEqual({
    httpGet: { path: '/healthz', port: 'http' },
    periodSeconds: 10,
    timeoutSeconds: 20,
    failureThreshold: 3,
  });
  expect(containerOf(manifests, 'StatefulSet').startupProbe).toMatchObject({
    periodSeconds: 2,
    failureThreshold: 300,
  });
});

test('no name stands twice in a mapping or among variables, whatever values repeat', () => {
  const labels = {
    severity: 'page',
    'app.kubernetes.io/name': 'mine',
    'rbac.authorization.k8s.io/aggregate-to-view': 'x',
  };
  const annotations = {
    'helm.sh/resource-policy': 'x',
    'checksum/config': 'x',
    'kubectl.kubernetes.io/default-container': 'x',
  };
  const values = {
    ...modes['everything'],
    commonLabels: labels,
    commonAnnotations: annotations,
    operator: {
      podLabels: labels,
      podAnnotations: annotations,
      service: { labels, annotations },
      serviceAccount: { annotations },
      extraEnv: [{ name: 'LOG_LEVEL', value: 'debug' }],
    },
    nats: { podLabels: labels, podAnnotations: annotations, service: { labels, annotations } },
    monitoring: {
      serviceMonitor: { enabled: true, labels, annotations },
      prometheusRule: { enabled: true, labels, alertLabels: labels },
      dashboard: { enabled: true, labels, annotations },
    },
  };
  const { stdout, stderr } = template(values);
  expect(stderr).toBe('');
  // The strict reader refuses a key that stands twice.
  for (const text of stdout.split(/^---$/m))
    expect(parseDocument(text, { uniqueKeys: true, strict: true }).errors).toEqual([]);
  const manifests = manifestsIn(stdout);
  const [{ rules }] = ofKind(manifests, 'PrometheusRule')[0]!['spec'].groups;
  for (const rule of rules) expect(rule.labels.severity).toBe('page');
  const names = (containerOf(manifests).env as { name: string }[]).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(environmentOf(manifests)['LOG_LEVEL']).toBe('debug');
  for (const definition of ofKind(manifests, 'CustomResourceDefinition')) {
    expect(definition.metadata.labels).toMatchObject({ severity: 'page' });
    expect(definition.metadata.annotations?.['helm.sh/resource-policy']).toBe('keep');
  }
});

describe('TLS of the embedded NATS', () => {
  const manifests = render({ nats: { tls: { secretName: 'nats-tls' } } });

  it('is spoken by the server, asked for by the operator, and known to pods by their own Secret', () => {
    expect(environmentOf(manifests)).toMatchObject({
      OFFSITE_NATS_URL: `tls://${release.name}-nats.${release.namespace}.svc:4222`,
      NATS_CA: '/etc/offsite/nats-ca/ca.crt',
    });
    const { volumes } = one(manifests, 'Deployment')['spec'].template.spec;
    expect(volumes).toContainEqual({
      name: 'nats-ca',
      secret: { secretName: 'nats-tls', defaultMode: 0o440, items: [{ key: 'ca.crt', path: 'ca.crt' }] },
    });
    const conf = one(manifests, 'ConfigMap')['data']['nats.conf'];
    expect(conf).toContain('cert_file: "/etc/nats-tls/tls.crt"');
  });
});

test('policies: DNS where OpenShift has it, more egress for each', () => {
  const rule = { to: [{ ipBlock: { cidr: 'fd00::/8' } }] };
  const manifests = render({
    networkPolicy: {
      operatorEgress: [rule],
      natsEgress: [rule],
      apiServerCidrs: ['10.0.0.0/8', 'fd00:1::/64'],
      workers: { enabled: true, namespaces: ['models'], stores: [rule] },
    },
  });
  const policies = ofKind(manifests, 'NetworkPolicy');
  expect(policies).toHaveLength(3);
  for (const { metadata, spec } of policies) {
    expect(spec.egress, metadata.name).toContainEqual(rule);
    if (!metadata.name.endsWith('-nats'))
      expect(spec.egress[0].ports).toEqual([
        { port: 53, protocol: 'UDP' },
        { port: 53 },
        { port: 5353, protocol: 'UDP' },
        { port: 5353 },
      ]);
  }
});

describe('policies by default', () => {
  const policiesOf = (values: object) =>
    Object.fromEntries(
      ofKind(render(values), 'NetworkPolicy').map(({ metadata, spec }) => [
        metadata.name.split('-').at(-1),
        spec,
      ]),
    );
  const workers = { workers: { enabled: true, namespaces: ['models'] } };

  it("let nobody speak to the world on DNS's ports: only to where the cluster's DNS is", () => {
    const policies = policiesOf({ networkPolicy: workers });
    const namespace = (name: string) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
    });
    for (const name of ['operator', 'workers']) {
      const dns = policies[name].egress.filter(({ ports }: { ports: { port: number }[] }) =>
        ports.some(({ port }) => port === 53 || port === 5353),
      );
      expect(dns, name).toHaveLength(1);
      expect(dns[0].to).toEqual([
        namespace('kube-system'),
        namespace('openshift-dns'),
        { ipBlock: { cidr: '169.254.20.10/32' } },
      ]);
    }
    // To allow any place is the administrator's word, and that of values of an earlier release.
    for (const dnsTo of [[], null])
      expect(policiesOf({ networkPolicy: { ...workers, dnsTo } })['workers'].egress[0]).not.toHaveProperty(
        'to',
      );
  });

  it('let nobody speak to the world on the ports of an external NATS, where it is told where that is', () => {
    const natsTo = [{ ipBlock: { cidr: '10.0.0.7/32' } }];
    const policies = policiesOf({ ...modes['external NATS'], networkPolicy: { ...workers, natsTo } });
    for (const name of ['operator', 'workers'])
      expect(policies[name].egress, name).toContainEqual({ ports: [{ port: 4222 }], to: natsTo });
    // No rule of theirs is for anywhere.
    for (const { to } of policies['workers'].egress) expect(to.length).toBeGreaterThan(0);
    // Of the operator alone it may be anywhere.
    expect(policiesOf(modes['external NATS']!)['operator'].egress).toContainEqual({
      ports: [{ port: 4222 }],
    });
  });

  it('let pods of the watched namespaces alone reach NATS, whatever labels others give themselves', () => {
    const peers = (values: object) =>
      policiesOf(values)['nats'].ingress[0].from.flatMap(
        ({ namespaceSelector }: { namespaceSelector?: object }) => namespaceSelector ?? [],
      );
    expect(peers({ watchNamespaces: ['models', 'data'] })).toEqual([
      {
        matchExpressions: [
          { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['models', 'data'] },
        ],
      },
    ]);
    expect(peers({})).toEqual([{}]);
  });
});

test('a PodMonitor gives the series the job by which alerts and dashboard select', () => {
  const [monitor] = ofKind(render(modes['OpenShift']), 'PodMonitor');
  expect(monitor?.['spec'].podMetricsEndpoints[0].relabelings).toEqual([
    { targetLabel: 'job', replacement: `${release.name}-operator` },
  ]);
});

test('extraObjects are templates, as a mapping or as a text', () => {
  const manifests = render({
    extraObjects: [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '{{ .Release.Name }}-one' } },
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Release.Name }}-two"}',
    ],
  });
  for (const name of ['one', 'two']) one(manifests, 'ConfigMap', `${release.name}-${name}`);
});

test('without hooks there is no test pod', () => {
  const { stdout } = helm(['template', release.name, chart, '--namespace', release.namespace, '--no-hooks']);
  expect(ofKind(manifestsIn(stdout), 'Pod')).toEqual([]);
});

describe('as part of an umbrella chart', () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-umbrella-'));
  const umbrella = (values: object) => {
    writeFileSync(join(directory, 'values.yaml'), stringify(values));
    return helm(['template', release.name, directory, '--namespace', release.namespace]);
  };

  beforeAll(() => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    const dependency = {
      name: 'offsite-tuning',
      version,
      condition: 'offsite-tuning.enabled',
      repository: `file://${chart}`,
    };
    writeFileSync(
      join(directory, 'Chart.yaml'),
      stringify({ apiVersion: 'v2', name: 'platform', version: '1.0.0', dependencies: [dependency] }),
    );
    mkdirSync(join(directory, 'templates'));
    expect(helm(['dependency', 'build', directory])).toMatchObject({ status: 0 });
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('is switched by its condition, and shares what all charts share', () => {
    const mine = { operator: { replicas: 1 } };
    const on = umbrella({ global: { imageRegistry: 'x' }, 'offsite-tuning': { enabled: true, ...mine } });
    expect(on.stderr).toBe('');
    expect(one(manifestsIn(on.stdout), 'Deployment')['spec'].replicas).toBe(1);
    const off = umbrella({ 'offsite-tuning': { enabled: false, ...mine } });
    expect([off.stderr, manifestsIn(off.stdout)]).toEqual(['', []]);
  });

  it('still refuses a value that there is not', () => {
    const { stderr } = umbrella({ 'offsite-tuning': { enabled: true, replicas: 2 } });
    expect(stderr).toContain("additional properties 'replicas' not allowed");
  });
});
