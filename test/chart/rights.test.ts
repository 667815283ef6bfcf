import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { chart, helm, one, release, render } from '../support/chart/helm.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';
import { freePort } from '../support/cluster/ports.ts';
import { kubernetesPrograms } from '../support/cluster/programs.ts';

// The operator itself, with the rights and the environment that the chart gives it, on a real API server that enforces
// owner references as OpenShift does.
let plane: ControlPlane;
const directory = mkdtempSync(join(tmpdir(), 'offsite-rights-'));
const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url));
const kubectl = (args: readonly string[], input?: string) => run(plane.kubeconfig, args, input);
const get = (...args: string[]) => JSON.parse(kubectl(['get', ...args, '--output', 'json']));

beforeAll(async () => {
  const admission = '--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement';
  plane = await startControlPlane({ controllerManager: true, apiServerFlags: [admission] });
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
    await until(() => bindings(values).every(isInForce));
    operator = await Operator.start(values);
  });

  afterAll(async () => {
    await operator?.stop();
    kubectl(['delete', 'emulatorbuilds', '--all', '--namespace', 'models']);
  });

  it('is ready, and leads by its Lease', async () => {
    await until(async () => (await operator.answers('/readyz')) === 200);
    await until(() => get('leases', '--namespace', release.namespace).items.some(isHeld));
  });

  it('asks about its Lease under a FlowSchema of its own', () => {
    const schema = one(render(values), 'FlowSchema')['metadata'].name;
    const user = `--as=system:serviceaccount:${release.namespace}:${release.name}-operator`;
    const asked = [
      'get',
      'lease',
      `${release.name}-operator`,
      '--namespace',
      release.namespace,
      user,
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
});

function suspend(suspend: boolean): void {
  const patch = ['--type', 'merge', '--patch', JSON.stringify({ spec: { suspend } })];
  kubectl(['patch', 'emulatorbuild/words', '--namespace', 'models', ...patch]);
}

interface Binding {
  metadata: { namespace?: string };
  roleRef: { kind: string; name: string };
  subjects: { kind: string; name: string; namespace: string }[];
}

/** The bindings that the chart makes for the operator's account. */
const bindings = (values: object): Binding[] =>
  render(values)
    .filter(({ kind }) => kind === 'RoleBinding' || kind === 'ClusterRoleBinding')
    .map((binding) => binding as unknown as Binding)
    .filter(({ subjects }) => subjects.some(isOperatorsAccount));

const isOperatorsAccount = ({ name }: { name: string }) => name === `${release.name}-operator`;

/** Whether the API server acts by a binding yet: it hears of roles and of bindings in its own time. */
function isInForce({ metadata, roleRef, subjects: [subject] }: Binding): boolean {
  const where = metadata.namespace === undefined ? [] : ['--namespace', metadata.namespace];
  const { rules } = get(roleRef.kind, roleRef.name, ...(roleRef.kind === 'Role' ? where : []));
  return rules.every(({ apiGroups, resources, verbs, resourceNames = [] }: Rule) => {
    const [resource, subresource] = resources[0]!.split('/');
    const asked = [
      verbs[0]!,
      `${[resource, apiGroups[0]].filter(Boolean).join('.')}${resourceNames[0] ? `/${resourceNames[0]}` : ''}`,
      ...(subresource ? ['--subresource', subresource] : []),
      ...(metadata.namespace === undefined ? ['--all-namespaces'] : where),
    ];
    return may(asked, `system:serviceaccount:${subject!.namespace}:${subject!.name}`);
  });
}

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

function may(asked: readonly string[], user: string): boolean {
  const { kubectl: program } = kubernetesPrograms('kubectl');
  const all = ['--kubeconfig', plane.kubeconfig, 'auth', 'can-i', ...asked, '--as', user, '--quiet'];
  return spawnSync(program, all).status === 0;
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

interface Request {
  verb: string;
  kind: string;
  code: string;
}

/** The operator's process as its container would run it: the same variables, the service account's token. */
class Operator {
  log = '';
  readonly #process: ChildProcess;
  readonly #port: number;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.#port = port;
    process.stdout?.on('data', (data) => {
      this.log += data;
    });
    process.stderr?.on('data', (data) => {
      this.log += data;
    });
  }

  static async start(values: object): Promise<Operator> {
    const port = await freePort();
    const fields: Record<string, string> = {
      'metadata.name': 'operator-0',
      'metadata.namespace': release.namespace,
    };
    const [container] = one(render({ ...values, operator: { port } }), 'Deployment')['spec'].template.spec
      .containers;
    const env = Object.fromEntries(
      container.env.map(({ name, value, valueFrom }: EnvVariable) => [
        name,
        value ?? fields[valueFrom!.fieldRef.fieldPath],
      ]),
    );
    const node = spawn(process.execPath, [path('operator/main.ts')], {
      env: { PATH: process.env['PATH'], ...env, KUBECONFIG: kubeconfigOfAccount() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Operator(node, port);
  }

  async answers(path: string): Promise<number> {
    if (this.#process.exitCode !== null) throw new Error(`the operator ended: ${this.log}`);
    return await this.#get(path).then(
      ({ status }) => status,
      () => 0,
    );
  }

  /** Its requests to the API server so far. */
  async metrics(): Promise<Request[]> {
    const text = await (await this.#get('/metrics')).text();
    return [...text.matchAll(/^offsite_operator_api_requests_total\{(.*)\} \d+$/gm)].map(([, labels]) =>
      Object.fromEntries([...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
    ) as unknown as Request[];
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    this.#process.kill();
    await once(this.#process, 'exit');
  }

  #get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port}${path}`);
  }
}

interface EnvVariable {
  name: string;
  value?: string;
  valueFrom?: { fieldRef: { fieldPath: string } };
}

/** A kubeconfig with a token of the operator's service account. */
function kubeconfigOfAccount(): string {
  const account = `${release.name}-operator`;
  const token = kubectl(['create', 'token', account, '--namespace', release.namespace]).trim();
  const config = parse(kubectl(['config', 'view', '--raw', '--minify']));
  config.users = config.users.map(({ name }: { name: string }) => ({ name, user: { token } }));
  const file = join(directory, 'operator.kubeconfig');
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}
