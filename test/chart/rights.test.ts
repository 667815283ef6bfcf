import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Binding, bindings, isInForce, may, type Rule, rulesOf } from '../support/chart/bindings.ts';
import { chart, helm, one, release, render } from '../support/chart/helm.ts';
import { Operator } from '../support/chart/operator.ts';
import { Audit, type Audited } from '../support/cluster/audit.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';
import { kubernetesPrograms } from '../support/cluster/programs.ts';

// The operator itself, with the rights and the environment that the chart gives it, on a real API server that enforces
// owner references as OpenShift does.
let plane: ControlPlane;
let audit: Audit;
const user = `system:serviceaccount:${release.namespace}:${release.name}-operator`;
const directory = mkdtempSync(join(tmpdir(), 'offsite-rights-'));
const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const kubectl = (args: readonly string[], input?: string) => run(plane.kubeconfig, args, input);
const get = (...args: string[]) => JSON.parse(kubectl(['get', ...args, '--output', 'json']));

beforeAll(async () => {
  const admission = '--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement';
  audit = new Audit(directory, user);
  plane = await startControlPlane({ controllerManager: true, apiServerFlags: [admission, ...audit.flags] });
  for (const each of [release.namespace, 'models', 'data']) kubectl(['create', 'namespace', each]);
}, 1_200_000);

afterAll(async () => {
  await plane?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.each([
  ['everywhere', {}],
  ['in two namespaces', { watchNamespaces: ['models', 'data'] }],
])('the operator, installed to work %s', (_, values) => {
  let operator: Operator;

  beforeAll(async () => {
    const where = ['--namespace', release.namespace, '--kubeconfig', plane.kubeconfig];
    const { status, stderr } = helm(['upgrade', '--install', release.name, chart, ...where], values);
    expect(status, stderr).toBe(0);
    kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
    await until(() => bindings(values).every((binding) => isInForce(plane, binding)));
    // What an earlier installation had is taken back in the API server's own time, too.
    if ('watchNamespaces' in values)
      await until(() => !may(plane, ['list', 'jobs', '--all-namespaces'], user));
    await until(knowsOwners);
    audit.startAnew();
    operator = await Operator.start(plane, values);
  });

  afterAll(async () => {
    await operator?.stop();
    kubectl(['delete', 'emulatorbuilds,offsitetunes,plugins,jobs', '--all', '--namespace', 'models']);
    // The next one makes its own.
    const made = [`secret/${release.name}-nats-auth`, `lease/${release.name}-operator`];
    kubectl(['delete', ...made, '--namespace', release.namespace]);
  });

  it('is ready, and leads by its Lease', async () => {
    await until(async () => (await operator.answers('/readyz')) === 200);
    await until(() => get('leases', '--namespace', release.namespace).items.some(isHeld));
  });

  it('asks about its Lease under a FlowSchema of its own', () => {
    const schema = one(render(values), 'FlowSchema')['metadata'].name;
    const asked = [
      'get',
      'lease',
      `${release.name}-operator`,
      '--namespace',
      release.namespace,
      `--as=${user}`,
      '-v=9',
    ];
    const { kubectl: program } = kubernetesPrograms('kubectl');
    const { stderr } = spawnSync(program, ['--kubeconfig', plane.kubeconfig, ...asked], { encoding: 'utf8' });
    const { uid } = get('flowschema', schema).metadata;
    expect(stderr.toLowerCase()).toContain(`x-kubernetes-pf-flowschema-uid: ${uid}`);
  });

  it('makes the keys of NATS that the server waits for, in its own namespace', async () => {
    const { volumes } = one(render(values), 'StatefulSet')['spec'].template.spec;
    const { name, items } = volumes[0].projected.sources[1].secret;
    await until(() => get('secrets', '--namespace', release.namespace).items.some(isNamed(name)));
    const { data } = get('secret', name, '--namespace', release.namespace);
    for (const { key } of items) expect(Object.keys(data)).toContain(key);
  });

  it('makes the Job of a resource, writes its status and tells events', async () => {
    kubectl(['apply', '--namespace', 'models', '--filename', path('examples/quickstart/1-emulator.yaml')]);
    await until(() => get('jobs', '--namespace', 'models').items.length === 1);
    await until(() => get('emulatorbuild/words', '--namespace', 'models').status?.phase === 'Pending');
    await until(() => reasons('models').includes('JobCreated'));
    const [job] = get('jobs', '--namespace', 'models').items;
    expect(Object.keys(get('secret', `${job.metadata.name}-nats`, '--namespace', 'models').data)).toEqual([
      'nats.creds',
    ]);
    expect(job.spec.template.spec.containers[0].image).toBe('offsite-worker:0.1.0');
  });

  it('removes it when the resource is suspended, and makes another when it goes on', async () => {
    suspend(true);
    await until(() => get('emulatorbuild/words', '--namespace', 'models').status?.phase === 'Suspended');
    await until(() => get('jobs', '--namespace', 'models').items.length === 0);
    suspend(false);
    await until(() => get('jobs', '--namespace', 'models').items.length === 1);
  });

  it('waits for a queue, and asks what its events say', async () => {
    const [job] = get('jobs', '--namespace', 'models').items;
    const queued = {
      metadata: { labels: { 'kueue.x-k8s.io/queue-name': 'team' } },
      spec: { suspend: true },
    };
    kubectl([
      ...['patch', 'job', job.metadata.name, '--namespace', 'models', '--type', 'merge'],
      ...['--patch', JSON.stringify(queued)],
    ]);
    await until(() => asked('list', 'events'));
  });

  it('looks at a Job of somebody else that has the name of its next', async () => {
    const [{ metadata }] = get('jobs', '--namespace', 'models').items;
    suspend(true);
    await until(() => get('jobs', '--namespace', 'models').items.length === 0);
    const spec = { suspend: true, template: { spec: { restartPolicy: 'Never', containers: [other] } } };
    const names = [0, 1, 2].map((more) =>
      metadata.name.replace(/\d+$/, (n: string) => `${Number(n) + more}`),
    );
    for (const name of names)
      kubectl(
        ['create', '--namespace', 'models', '--filename', '-'],
        JSON.stringify({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec }),
      );
    suspend(false);
    await until(() => asked('get', 'jobs'));
    kubectl(['delete', 'jobs', ...names, '--namespace', 'models']);
  });

  it('looks at claims that several pods are to share', async () => {
    const shards = { spec: { probe: { shards: 2 } } };
    kubectl([
      ...['patch', 'emulatorbuild/words', '--namespace', 'models', '--type', 'merge'],
      ...['--patch', JSON.stringify(shards)],
    ]);
    await until(async () => (await operator.metrics()).some(({ kind }) => kind === 'PersistentVolumeClaim'));
  });

  it('was forbidden nothing', async () => {
    const requests = await operator.metrics();
    expect(requests.length).toBeGreaterThan(5);
    expect(operator.log.split('\n').filter((line) => line.includes('forbidden'))).toEqual([]);
    expect(requests.filter(({ code }) => code === '401' || code === '403')).toEqual([]);
  });

  it('goes on after a restart: what was told before is counted, all three kinds have their status', async () => {
    await operator.stop();
    suspend(true);
    operator = await Operator.start(plane, values);
    for (const file of ['2-tune', '3-plug-in'])
      kubectl(['apply', '--namespace', 'models', '--filename', path(`examples/quickstart/${file}.yaml`)]);
    await until(() => asked('patch', 'events'));
    await until(() => asked('patch', 'offsitetunes/status') && asked('patch', 'plugins/status'));
  });

  it('asks for nothing but by its roles, and for everything that they grant', async () => {
    await operator.stop();
    const chartsOwn = bindings(values);
    const requests = audit.requests();
    expect(requests.filter(({ code }) => code === 401 || code === 403)).toEqual([]);
    const isNamedIn = (reason: string) => chartsOwn.some((binding) => reason.includes(`"${keyOf(binding)}"`));
    expect(requests.filter(({ reason }) => !isNamedIn(reason))).toEqual([]);
    for (const binding of chartsOwn.filter(({ metadata }) => metadata.namespace !== 'data')) {
      const granted = rulesOf(values, binding).flatMap(requestsOf).filter(isRequested);
      expect(granted.length).toBeGreaterThan(2);
      const where = requests.filter(({ namespace }) => isOf(binding, namespace));
      const used = new Set(where.map(({ verb, group, resource }) => `${verb} ${group}/${resource}`));
      expect([...used].sort(), keyOf(binding)).toEqual([...new Set(granted)].sort());
    }
  });

  const asked = (verb: string, resource: string) =>
    audit.requests().some((each: Audited) => each.verb === verb && each.resource === resource);
});

const other = { name: 'other', image: 'other' };

/** Of two bindings that permit the same in the operator's own namespace the narrower is looked at. */
const isOf = ({ metadata }: Binding, namespace: string | undefined) =>
  metadata.namespace === undefined ? namespace !== release.namespace : namespace === metadata.namespace;

/** As the API server names a binding where it says why it permits something. */
const keyOf = ({ metadata: { name, namespace } }: Binding) =>
  namespace === undefined ? name : `${name}/${namespace}`;

const requestsOf = ({ apiGroups, resources, verbs }: Rule) =>
  apiGroups.flatMap((group) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
  );

/** The right to a resource's finalizers is looked at where its Jobs are made; nobody asks for them. */
const isRequested = (request: string) => !request.endsWith('/finalizers');

/**
 * Whether the API server's check of owner references knows the three kinds: it learns of kinds some seconds after the rest of
 * the API server, and until then refuses who names one as an owner.
 */
function knowsOwners(): boolean {
  const owners = ['EmulatorBuild', 'OffsiteTune', 'PlugIn'].map((kind) => ({
    ...{ apiVersion: 'offsite-tuning.dev/v1alpha1', kind, name: 'none', uid: kind },
    ...{ blockOwnerDeletion: true },
  }));
  const metadata = { name: 'owned', namespace: 'models', ownerReferences: owners };
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata };
  try {
    kubectl(['create', '--filename', '-', '--dry-run=server', `--as=${user}`], JSON.stringify(secret));
    return true;
  } catch {
    return false;
  }
}

function suspend(suspend: boolean): void {
  const patch = ['--type', 'merge', '--patch', JSON.stringify({ spec: { suspend } })];
  kubectl(['patch', 'emulatorbuild/words', '--namespace', 'models', ...patch]);
}

const reasons = (namespace: string): string[] =>
  get('events.events.k8s.io', '--namespace', namespace).items.map(({ reason }: { reason: string }) => reason);

const isNamed =
  (name: string) =>
  ({ metadata }: { metadata: { name: string } }) =>
    metadata.name === name;

const isHeld = ({ metadata, spec }: { metadata: { name: string }; spec: { holderIdentity?: string } }) =>
  metadata.name === `${release.name}-operator` && Boolean(spec.holderIdentity);

async function until(holds: () => boolean | Promise<boolean>, limitMilliseconds = 60_000): Promise<void> {
  for (const end = Date.now() + limitMilliseconds; !(await holds()); await sleep(200))
    if (Date.now() > end) throw new Error(`not so within ${limitMilliseconds / 1000} s: ${holds}`);
}
