/** The objects of a namespace that a tenant may be after, and what can be tried on each. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

export interface Thing {
  readonly what: string;
  /** `v1`, or group and version. */
  readonly apiVersion: string;
  readonly plural: string;
  readonly subresource?: string;
  readonly query?: string;
  readonly verbs: readonly Verb[];
  /** What is made of it in every namespace, and what `create` sends. Of the kind of a subresource: its body. */
  readonly object: { readonly kind: string } & Readonly<Record<string, unknown>>;
}

const every: readonly Verb[] = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
];
const ours = 'offsite-tuning.dev/v1alpha1';

/** A resource as docs/exchange.md shows it. */
const shown = (kind: string): Thing['object'] => {
  const text = readFileSync(new URL('../../../docs/exchange.md', import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block]) => parse(block!));
  return blocks.find((block) => block.kind === kind);
};

const container = { name: 'worker', image: 'worker:test' };
const pod = { restartPolicy: 'Never', containers: [container] };
const inPod = (what: string, subresource: string, query = ''): Thing => ({
  ...{ what, subresource, query, apiVersion: 'v1', plural: 'pods', verbs: ['get', 'create'] },
  object: { kind: 'Pod' },
});

export const things: readonly Thing[] = [
  {
    what: 'EmulatorBuilds',
    apiVersion: ours,
    plural: 'emulatorbuilds',
    verbs: every,
    object: shown('EmulatorBuild'),
  },
  { what: 'PlugIns', apiVersion: ours, plural: 'plugins', verbs: every, object: shown('PlugIn') },
  {
    what: 'OffsiteTunes',
    apiVersion: ours,
    plural: 'offsitetunes',
    verbs: every,
    object: shown('OffsiteTune'),
  },
  ...(['EmulatorBuild', 'PlugIn', 'OffsiteTune'] as const).map(
    (kind): Thing => ({
      ...{
        what: `status of ${kind}s`,
        apiVersion: ours,
        plural: `${kind.toLowerCase()}s`,
        subresource: 'status',
      },
      ...{ verbs: ['get', 'update', 'patch'], object: shown(kind) },
    }),
  ),
  {
    ...{ what: 'Jobs', apiVersion: 'batch/v1', plural: 'jobs', verbs: every },
    object: { kind: 'Job', spec: { suspend: true, template: { spec: pod } } },
  },
  { what: 'pods', apiVersion: 'v1', plural: 'pods', verbs: every, object: { kind: 'Pod', spec: pod } },
  { ...inPod('logs', 'log'), verbs: ['get'] },
  inPod('exec', 'exec', 'command=id&stdout=true'),
  inPod('attach', 'attach', 'stdout=true'),
  inPod('port-forward', 'portforward', 'ports=4222'),
  inPod('proxy', 'proxy'),
  { ...inPod('ephemeral containers', 'ephemeralcontainers'), verbs: ['patch'] },
  {
    ...{ ...inPod('eviction', 'eviction'), verbs: ['create'] },
    object: { kind: 'Eviction', apiVersion: 'policy/v1' },
  },
  {
    ...{ what: 'Secrets', apiVersion: 'v1', plural: 'secrets', verbs: every },
    object: { kind: 'Secret', stringData: { AWS_SECRET_ACCESS_KEY: 'never to be shown' } },
  },
  {
    ...{ what: 'ConfigMaps', apiVersion: 'v1', plural: 'configmaps', verbs: every },
    object: { kind: 'ConfigMap', data: {} },
  },
  {
    ...{ what: 'claims', apiVersion: 'v1', plural: 'persistentvolumeclaims', verbs: every },
    object: {
      kind: 'PersistentVolumeClaim',
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
  },
  {
    ...{ what: 'events', apiVersion: 'events.k8s.io/v1', plural: 'events', verbs: every },
    object: {
      kind: 'Event',
      ...{ eventTime: '2026-11-29T00:00:00.000000Z', type: 'Normal', reason: 'Tried', action: 'Trying' },
      ...{ reportingController: 'test/tenants', reportingInstance: 'tenants' },
    },
  },
  {
    ...{ what: 'Leases', apiVersion: 'coordination.k8s.io/v1', plural: 'leases', verbs: every },
    object: { kind: 'Lease', spec: {} },
  },
  {
    ...{ what: 'service accounts', apiVersion: 'v1', plural: 'serviceaccounts', verbs: every },
    object: { kind: 'ServiceAccount' },
  },
  {
    ...{
      what: 'tokens of service accounts',
      apiVersion: 'v1',
      plural: 'serviceaccounts',
      subresource: 'token',
    },
    ...{
      verbs: ['create'],
      object: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', spec: {} },
    },
  },
  {
    ...{ what: 'Roles', apiVersion: 'rbac.authorization.k8s.io/v1', plural: 'roles', verbs: every },
    object: { kind: 'Role', rules: [] },
  },
  {
    ...{
      what: 'RoleBindings',
      apiVersion: 'rbac.authorization.k8s.io/v1',
      plural: 'rolebindings',
      verbs: every,
    },
    object: {
      kind: 'RoleBinding',
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'words' },
      subjects: [],
    },
  },
  {
    ...{ what: 'Deployments', apiVersion: 'apps/v1', plural: 'deployments', verbs: every },
    object: {
      kind: 'Deployment',
      spec: {
        ...{ replicas: 0, selector: { matchLabels: { app: 'words' } } },
        template: { metadata: { labels: { app: 'words' } }, spec: { containers: [container] } },
      },
    },
  },
  {
    ...{ what: 'Services', apiVersion: 'v1', plural: 'services', verbs: every },
    object: { kind: 'Service', spec: { ports: [{ port: 80 }] } },
  },
  {
    ...{ what: 'proxy of Services', apiVersion: 'v1', plural: 'services', subresource: 'proxy' },
    ...{ verbs: ['get', 'create'], object: { kind: 'Service' } },
  },
];

/** Of the whole cluster; nothing of it is made. */
export const clusterThings: readonly Omit<Thing, 'object'>[] = [
  {
    what: 'namespaces',
    apiVersion: 'v1',
    plural: 'namespaces',
    verbs: ['list', 'create', 'deletecollection'],
  },
  { what: 'nodes', apiVersion: 'v1', plural: 'nodes', verbs: ['list', 'watch'] },
  { what: 'volumes', apiVersion: 'v1', plural: 'persistentvolumes', verbs: ['list', 'create'] },
  {
    ...{
      what: 'definitions of kinds',
      apiVersion: 'apiextensions.k8s.io/v1',
      plural: 'customresourcedefinitions',
    },
    verbs: ['list', 'create', 'deletecollection'],
  },
  ...['clusterroles', 'clusterrolebindings'].map((plural) => ({
    ...{ what: plural === 'clusterroles' ? 'ClusterRoles' : 'ClusterRoleBindings', plural },
    apiVersion: 'rbac.authorization.k8s.io/v1',
    verbs: ['list', 'create', 'deletecollection'] as const,
  })),
  // The same in all namespaces at once.
  ...things
    .filter(({ subresource, verbs }) => subresource === undefined && verbs.includes('list'))
    .map(({ what, apiVersion, plural }) => ({
      ...{ what: `${what} everywhere`, apiVersion, plural },
      verbs: ['list', 'watch'] as const,
    })),
];

/** One of the things as it is sent; an event is about something of its namespace. */
export const bodyOf = ({ apiVersion, object }: Thing, name: string, namespace: string) => ({
  ...{ apiVersion, ...object, metadata: { name, namespace } },
  ...(object.kind === 'Event' && {
    regarding: { apiVersion: 'v1', kind: 'ConfigMap', name: 'words', namespace },
  }),
});
