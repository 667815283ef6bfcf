import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../operator/runtime/index.ts';
import { chart, helm, release } from '../support/chart/helm.ts';
import { Operator } from '../support/chart/operator.ts';
import { type ControlPlane, startControlPlane } from '../support/cluster/control-plane.ts';
import { kubectl as run } from '../support/cluster/kubectl.ts';
import { freePort } from '../support/cluster/ports.ts';
import { NatsServer } from '../support/servers/nats-server.ts';
import { type Attempt, Matrix } from '../support/tenants/attempts.ts';
import {
  Asker,
  type Identity,
  type Tried,
  tryCluster,
  tryNamespace,
  tryOthers,
  tryToBe,
} from '../support/tenants/kubernetes.ts';
import { bodyOf, things } from '../support/tenants/kubernetes-things.ts';
import { NatsUser, type RunNames } from '../support/tenants/nats.ts';

// A model owner and a data owner with the chart's roles: everybody tries
// everything on everybody's things, and the real servers answer. The tables of docs/security.md are these answers.
const own = release.namespace;
const account = `${release.name}-operator`;
const values = { watchNamespaces: ['models', 'data'] };
const users = { '`models`': 'mona', '`data`': 'dan' } as const;
let plane: ControlPlane;
let operator: Operator;
let nats: NatsServer;
const kubectl = (args: readonly string[], input?: string) => run(plane.kubeconfig, args, input);
const get = (...args: string[]) => JSON.parse(kubectl(['get', ...args, '--output', 'json']));
const natsPort = freePort();

beforeAll(async () => {
  plane = await startControlPlane({ controllerManager: true });
  for (const each of [own, 'models', 'data']) kubectl(['create', 'namespace', each]);
  const where = ['--namespace', own, '--kubeconfig', plane.kubeconfig];
  const { status, stderr } = helm(['upgrade', '--install', release.name, chart, ...where], values);
  expect(status, stderr).toBe(0);
  kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  operator = await Operator.start(plane, values, { OFFSITE_NATS_URL: `nats://127.0.0.1:${await natsPort}` });
  for (const [namespace, owner] of [
    ['models', 'model-owner'],
    ['data', 'data-owner'],
  ])
    kubectl([
      ...['create', 'rolebinding', `${owner}s`, '--namespace', namespace!],
      ...['--clusterrole', `offsite-${owner}`, '--group', `${owner}s`],
    ]);
  await makeThings();
}, 1_200_000);

afterAll(async () => {
  await operator?.stop();
  await nats?.remove();
  await plane?.stop();
});

/** In each namespace one thing of each kind; the operator and the Job controller make Jobs, pods and Secrets of runs. */
async function makeThings(): Promise<void> {
  const namespaces = ['models', 'data', own];
  await until(() =>
    namespaces.every((namespace) => namesOf('serviceaccounts', namespace).includes('default')),
  );
  const items = namespaces.flatMap((namespace) =>
    things
      .filter(({ subresource, plural }) => subresource === undefined && plural !== 'serviceaccounts')
      .map((thing) => bodyOf(thing, 'words', namespace)),
  );
  kubectl(['create', '--filename', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await until(() => ['models', 'data'].every((namespace) => made('pods', namespace) !== undefined));
  await until(() => namesOf('leases', own).includes(account));
}

const namesOf = (plural: string, namespace: string): string[] =>
  get(plural, '--namespace', namespace).items.map(({ metadata }: KubeObject) => metadata.name);

/** The first object of a kind that is of a run in a namespace. */
const made = (plural: string, namespace: string): KubeObject & { spec: Record<string, unknown> } =>
  get(plural, '--namespace', namespace, '--selector', 'app.kubernetes.io/managed-by=offsite-operator')
    .items[0];

/** The names of what is tried on: a run's own where it has such a thing, the operator's own in its namespace. */
function thingsOf(namespace: string): (plural: string) => string {
  const job = namespace === own ? 'words' : made('jobs', namespace).metadata.name;
  const names: Record<string, string> =
    namespace === own
      ? {
          secrets: `${release.name}-nats-auth`,
          serviceaccounts: account,
          leases: account,
          deployments: account,
        }
      : {
          ...{ jobs: job, pods: made('pods', namespace).metadata.name },
          ...{ secrets: `${job}-nats`, serviceaccounts: 'default' },
        };
  return (plural) => names[plural] ?? 'words';
}

function secretOf(namespace: string, name: string): Record<string, string> {
  const { data } = get('secret', name, '--namespace', namespace) as { data: Record<string, string> };
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

describe('in the API server', () => {
  const control = 'administrator';
  const actors = [
    ...['model owner', 'data owner', 'account of pods in `models`', 'account of pods in `data`'],
    ...['a pod itself', 'operator'],
  ];
  const matrix = new Matrix('in the API server', actors, '403');
  const attempts: (Attempt & Tried)[] = [];

  beforeAll(async () => {
    const askers = Object.entries(identities()).map(
      ([who, identity]) => [who, new Asker(plane, identity)] as const,
    );
    const [[, modelOwner], [, dataOwner]] = askers as [[string, Asker], [string, Asker]];
    await until(async () => (await modelOwner.ask('GET', `${ours}/models/emulatorbuilds`)).status === 200);
    await until(async () => (await dataOwner.ask('GET', `${ours}/data/offsitetunes`)).status === 200);
    const spaces = ['models', 'data', own].map((namespace) => ({ namespace, names: thingsOf(namespace) }));
    for (const [who, asker] of askers) {
      for (const { namespace, names } of spaces)
        for (const tried of await tryNamespace(asker, namespace, names))
          attempts.push({ who, whose: `\`${namespace}\``, ...tried });
      for (const [whose, user] of Object.entries({ ...users, [`\`${own}\``]: operatorsName })) {
        attempts.push({ who, whose, ...(await tryToBe(asker, user)) });
      }
      for (const tried of await tryOthers(asker, own)) attempts.push({ who, whose: `\`${own}\``, ...tried });
      for (const tried of await tryCluster(asker)) attempts.push({ who, whose: 'the cluster', ...tried });
      asker.close();
    }
  });

  it('each is permitted what the table says, and all else is refused with 403 (WRITE_TENANTS=1 writes it)', () => {
    if (process.env['WRITE_TENANTS'] === '1') matrix.write(attempts);
    expect(matrix.written()).toBe(matrix.table(attempts));
  });

  it('nobody has anything of another namespace, of the operator or of the cluster; pods have nothing of their own either', () => {
    const home: Record<string, string> = { 'model owner': '`models`', 'data owner': '`data`' };
    const tenants = attempts.filter(({ who }) => who !== control && who !== 'operator');
    expect(tenants.filter(({ who, whose, permitted }) => permitted && whose !== home[who])).toEqual([]);
  });

  it('the operator reads no Secret of theirs, writes no spec, enters no pod and reads no log', () => {
    const may = attempts.filter(
      ({ who, whose, permitted }) => who === 'operator' && whose !== `\`${own}\`` && permitted,
    );
    const deedsOn = (...whats: string[]) => [
      ...new Set(may.filter(({ what }) => whats.includes(what)).map(({ deed }) => deed)),
    ];
    expect(deedsOn('Secrets')).toEqual(['create']);
    expect(deedsOn('EmulatorBuilds', 'PlugIns', 'OffsiteTunes')).toEqual(['list', 'watch']);
    expect(deedsOn('logs', 'exec', 'attach', 'port-forward', 'proxy', 'ephemeral containers')).toEqual([]);
    expect(may.filter(({ whose }) => whose === 'the cluster')).toEqual([]);
  });

  it('all of it is permitted to an administrator: nothing was refused because it makes no sense', () => {
    const [first, ...others] = [control, ...actors].map((who) => attempts.filter((each) => each.who === who));
    expect(first!.filter(({ permitted }) => !permitted)).toEqual([]);
    expect(first!.length).toBeGreaterThan(400);
    // What is permitted was done, but for the dry run; or the operator had changed it meanwhile.
    const undone = attempts.filter(({ permitted, status }) => permitted && status >= 300 && status !== 409);
    expect(undone.filter(({ who }) => who !== control)).toEqual([]);
    // Nor was it refused to others because there is no such request: without a node nobody is entered, and some bodies are too short.
    const impossible = undone
      .map(nameOf)
      .filter((name) => !/ (exec|attach|port-forward|proxy|proxy of Services)$/.test(name));
    expect(impossible).toEqual([
      `\`${own}\`: update other Leases`,
      'the cluster: deletecollection namespaces',
      'the cluster: create volumes',
      'the cluster: create definitions of kinds',
      'the cluster: create ClusterRoleBindings',
    ]);
    for (const other of others) expect(other.map(nameOf)).toEqual(first!.map(nameOf));
  });

  it('pods are given no token', () => {
    for (const namespace of ['models', 'data']) {
      const { spec } = made('pods', namespace);
      expect(spec['serviceAccountName']).toBe('default');
      expect(JSON.stringify(spec)).not.toContain('serviceAccountToken');
    }
  });

  const ours = '/apis/offsite-tuning.dev/v1alpha1/namespaces';
  const operatorsName = `system:serviceaccount:${own}:${account}`;

  /** People by certificates, accounts by tokens, a pod as it is: with neither. */
  function identities(): Record<string, Identity> {
    const person = (name: string, group: string): Identity => {
      plane.kubeconfigFor(name, name, [group]);
      const [cert, key] = ['crt', 'key'].map((end) => readFileSync(`${plane.directory}/pki/${name}.${end}`));
      return { cert, key } as Identity;
    };
    const token = (name: string, namespace: string): Identity => ({
      token: kubectl(['create', 'token', name, '--namespace', namespace]).trim(),
    });
    return {
      'model owner': person(users['`models`'], 'model-owners'),
      'data owner': person(users['`data`'], 'data-owners'),
      'account of pods in `models`': token('default', 'models'),
      'account of pods in `data`': token('default', 'data'),
      'a pod itself': {},
      operator: token(account, own),
      [control]: person('control', 'system:masters'),
    };
  }
});

describe('in NATS', () => {
  const control = 'operator';
  const actors = ['run in `models`', 'run in `data`', 'watcher'];
  const matrix = new Matrix('in NATS', actors, 'permissions violation');
  const attempts: Attempt[] = [];

  beforeAll(async () => {
    const keys = secretOf(own, `${release.name}-nats-auth`);
    nats = await NatsServer.start({ port: await natsPort, more: keys['auth.conf']! });
    const runs = ['models', 'data'].map(runIn);
    const users: Record<string, string> = {
      'run in `models`': runs[0]!.credentials,
      'run in `data`': runs[1]!.credentials,
      watcher: keys['watcher.creds']!,
      [control]: keys['operator.creds']!,
    };
    for (const [who, credentials] of Object.entries(users)) {
      const user = await NatsUser.connect(nats.url, credentials);
      for (const { names } of runs)
        for (const tried of await user.tryRun(names))
          attempts.push({ who, whose: `run in \`${names.namespace}\``, ...tried });
      for (const tried of await user.tryServer()) attempts.push({ who, whose: 'all', ...tried });
      await user.close();
    }
  });

  it('each run publishes its own events and no others, a watcher reads the stream alone (WRITE_TENANTS=1 writes it)', () => {
    if (process.env['WRITE_TENANTS'] === '1') matrix.write(attempts);
    expect(matrix.written()).toBe(matrix.table(attempts));
  });

  it('no run has anything of another run or of the server', () => {
    const runs = attempts.filter(({ who }) => who.startsWith('run'));
    expect(runs.filter(({ who, whose, permitted }) => permitted && whose !== who)).toEqual([]);
  });

  it('all of it is permitted to the operator', () => {
    const [first, ...others] = [control, ...actors].map((who) => attempts.filter((each) => each.who === who));
    expect(first!.filter(({ permitted }) => !permitted).map(nameOf)).toEqual([]);
    for (const other of others) expect(other.map(nameOf)).toEqual(first!.map(nameOf));
  });

  it('without credentials nobody comes in', async () => {
    await expect(connect({ servers: nats.url, reconnect: false })).rejects.toThrow(/authorization/i);
  });

  function runIn(namespace: string): { names: RunNames; credentials: string } {
    const { name, labels = {} } = made('jobs', namespace).metadata;
    const of = (label: string) => labels[`offsite-tuning.dev/${label}`]!;
    return {
      names: { namespace, kind: of('kind'), name: of('name'), uid: of('uid') },
      credentials: secretOf(namespace, `${name}-nats`)['nats.creds']!,
    };
  }
});

const nameOf = ({ whose, what, deed }: Attempt) => `${whose}: ${deed} ${what}`;

async function until(holds: () => boolean | Promise<boolean>, limitMilliseconds = 300_000): Promise<void> {
  for (const end = Date.now() + limitMilliseconds; !(await holds()); await sleep(200))
    if (Date.now() > end) throw new Error(`not so within ${limitMilliseconds / 1000} s: ${holds}`);
}
