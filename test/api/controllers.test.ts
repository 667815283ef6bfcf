/** The operator against a real API server and the real Job controller; a played kubelet runs the pods. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { jobName } from '../../operator/jobs/index.ts';
import {
  events,
  isNotFound,
  jobs,
  type KubeObject,
  pods,
  type ResourceType,
  secrets,
} from '../../operator/runtime/index.ts';
import { hashOfSpec } from '../../src/api/index.ts';
import { ApiServer, emulatorBuilds, eventually, offsiteTunes, plugIns } from '../support/api/api-server.ts';
import { type Ending, Kubelet, type Told } from '../support/api/kubelet.ts';
import { playOperator } from '../support/api/played-operator.ts';
import { type Recorded, recordResults } from '../support/api/recorded.ts';
import { kubernetesPrograms } from '../support/cluster/programs.ts';

let server: ApiServer;
let recorded: Recorded;
let kubelet: Kubelet;
let operator: Awaited<ReturnType<typeof playOperator>>;
let namespace: string;
/** How pods end; by default as the recorded run did. */
let ending: ((told: Told, pod: KubeObject) => Ending | undefined) | undefined;

beforeAll(async () => {
  server = await ApiServer.start({ controllerManager: true });
  recorded = await recordResults();
  operator = await playOperator(server.clientWith());
  kubelet = new Kubelet(server.client, {
    results: recorded.results,
    publish: (resource, event) => operator.reports.publisher.publish(resource, event),
    ending: (told, pod) => ending?.(told, pod) ?? { result: recorded.results[told.stage] },
  });
  await kubelet.start();
}, 900_000);

afterAll(async () => {
  kubelet?.stop();
  await operator?.stop();
  await server?.stop();
});

beforeEach(async () => {
  ending = undefined;
  operator.reports.connected = true;
  namespace = await server.namespace();
});

interface Status {
  phase?: string;
  attempt?: number;
  artifact?: { digest: string };
  conditions?: {
    type: string;
    status: string;
    reason: string;
    message: string;
    observedGeneration: number;
  }[];
  progress?: { progressPercentage?: number };
  [field: string]: unknown;
}

const create = (type: ResourceType, { metadata, ...manifest }: KubeObject, changes: object = {}) => {
  const spec = { ...(manifest['spec'] as object), ...changes };
  return server.client.create(type, {
    ...manifest,
    spec,
    metadata: { ...metadata, namespace },
  } as KubeObject);
};
const read = (type: ResourceType) => server.client.get(type, namespace, 'tiny');
const statusOf = async (type: ResourceType) => ((await read(type))['status'] ?? {}) as Status;
const edit = (type: ResourceType, spec: object) => server.client.merge(type, namespace, 'tiny', { spec });
const jobNames = async () =>
  (await server.client.list(jobs, { namespace })).items.map(({ metadata }) => metadata.name).sort();

/** Waits until the condition of this type is True, and returns it. */
async function condition(type: ResourceType, name: string) {
  const found = async () =>
    (await statusOf(type)).conditions?.find((other) => other.type === name && other.status === 'True');
  await eventually(`${type.kind} is ${name}`, async () => (await found()) !== undefined);
  return (await found())!;
}

/** Not to wait on it: the operator runs in this process. */
const kubectl = async (args: string[]) => {
  const { kubectl: program } = kubernetesPrograms('kubectl');
  return (await promisify(execFile)(program, ['--kubeconfig', server.plane.kubeconfig, ...args])).stdout;
};

const manifest = (kind: keyof Recorded['manifests']) => recorded.manifests[kind] as unknown as KubeObject;

describe('the three resources', () => {
  it('become Complete with what the workers found, whatever their order', async () => {
    await create(plugIns, manifest('plug'));
    await create(offsiteTunes, manifest('tune'));
    expect((await condition(plugIns, 'Waiting')).reason).toMatch(/^Dependency/);
    await create(emulatorBuilds, manifest('build'));
    const wait = ['wait', '-n', namespace, '--for=condition=Complete', '--timeout=60s'];
    const printed = await kubectl([...wait, 'eb/tiny', 'ot/tiny', 'pi/tiny']);
    expect(printed.match(/condition met/g)).toHaveLength(3);

    const { results } = recorded;
    expect(await statusOf(emulatorBuilds)).toMatchObject({
      ...results.assemble,
      phase: 'Complete',
      attempt: 1,
    });
    expect(await statusOf(offsiteTunes)).toMatchObject({ ...results.tune, phase: 'Complete' });
    const status = await statusOf(plugIns);
    expect(status).toMatchObject({ ...results.plug, phase: 'Complete' });
    expect(status['inputs']).toEqual({
      emulator: { uri: 'pvc://claim/out/emulator', digest: digestIn(results.assemble) },
      adapter: { uri: 'pvc://claim/out/adapter', digest: digestIn(results.tune) },
    });
    const names = await jobNames();
    expect(names.map((name) => name.replace(/[0-9a-f]{10}/, 'HASH'))).toEqual([
      'tiny-assemble-HASH-1',
      'tiny-plug-HASH-1',
      'tiny-probe-HASH-1',
      'tiny-tune-HASH-1',
    ]);
    const table = await kubectl(['get', 'eb', 'tiny', '-n', namespace]);
    expect(table).toMatch(/NAME +PHASE +PROGRESS +STAGE +REASON +AGE\ntiny +Complete +Complete/);
    await eventually('the events are told', async () => {
      const told = (await server.client.list(events, { namespace })).items.map((event) => event['reason']);
      return told.filter((reason) => reason === 'Complete').length === 3 && told.includes('JobCreated');
    });
  });

  it('are cleared away with their Jobs and Secrets when they are deleted', async () => {
    ending = () => 'runs on';
    await create(emulatorBuilds, manifest('build'));
    await eventually('a pod runs', async () => (await statusOf(emulatorBuilds)).phase === 'Running');
    const [secret] = (await server.client.list(secrets, { namespace })).items;
    expect(secret?.metadata.name).toMatch(/^tiny-probe-[0-9a-f]{10}-1-nats$/);
    const { data } = secret as KubeObject & { data: Record<string, string> };
    expect(Buffer.from(data['nats.creds'] ?? '', 'base64').toString()).toBe(
      `creds of ${namespace}.EmulatorBuild.tiny`,
    );
    await server.client.delete(emulatorBuilds, namespace, 'tiny');
    await eventually('nothing is left', async () => {
      const left = await Promise.all(
        [jobs, secrets, pods].map((type) => server.client.list(type, { namespace })),
      );
      return left.every(({ items }) => items.length === 0);
    });
  });
});

const digestIn = (result: Record<string, unknown>) => (result['artifact'] as { digest: string }).digest;

describe('suspend', () => {
  it('ends the pods; false makes the next attempt, which completes', async () => {
    ending = () => 'runs on';
    await create(emulatorBuilds, manifest('build'));
    await eventually('a pod runs', async () => (await statusOf(emulatorBuilds)).phase === 'Running');
    await edit(emulatorBuilds, { suspend: true });
    await condition(emulatorBuilds, 'Suspended');
    expect(await jobNames()).toEqual([]);
    ending = undefined;
    await edit(emulatorBuilds, { suspend: false });
    await condition(emulatorBuilds, 'Complete');
    expect(await statusOf(emulatorBuilds)).toMatchObject({ attempt: 2, observedGeneration: 3 });
    expect(await jobNames()).toEqual([expect.stringMatching(/-2$/), expect.stringMatching(/-2$/)]);
  });
});

describe('a spec', () => {
  it('changed while it runs: the Job is another, of the next attempt', async () => {
    ending = ({ stage }) => (stage === 'probe' ? 'runs on' : undefined);
    await create(emulatorBuilds, manifest('build'));
    await eventually('a pod runs', async () => (await statusOf(emulatorBuilds)).phase === 'Running');
    ending = undefined;
    await edit(emulatorBuilds, { layers: 3 });
    await condition(emulatorBuilds, 'Complete');
    expect(await statusOf(emulatorBuilds)).toMatchObject({ attempt: 2, observedGeneration: 2 });
  });

  it('with a field in its template that Kubernetes does not know: named, and put right', async () => {
    await create(emulatorBuilds, manifest('build'), { template: { spec: { tolerationz: [] } } });
    const failed = await condition(emulatorBuilds, 'Failed');
    expect(failed.reason).toBe('BadSpec');
    expect(failed.message).toContain('unknown field "spec.template.spec.tolerationz"');
    await edit(emulatorBuilds, { template: null });
    await condition(emulatorBuilds, 'Complete');
  });

  it('with a value in its template that is wrong: named by its field', async () => {
    const template = { spec: { tolerations: [{ key: 'a', operator: 'Sometimes' }] } };
    await create(emulatorBuilds, manifest('build'), { template });
    expect((await condition(emulatorBuilds, 'Failed')).message).toMatch(
      /^spec\.template: the API server refuses the Job: spec\.template\.spec\.tolerations\[0\]\.operator: Unsupported value: "Sometimes"/,
    );
  });
});

describe('a quota', () => {
  const quota = (hard: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'none', namespace },
    spec: { hard },
  });
  const quotas: ResourceType = {
    group: '',
    version: 'v1',
    plural: 'resourcequotas',
    kind: 'ResourceQuota',
    namespaced: true,
  };
  /** Its status is there from the first, and empty until its controller has counted. */
  const counted = () =>
    eventually('the quota counts', async () => {
      const { status } = (await server.client.get(quotas, namespace, 'none')) as {
        status?: { used?: object };
      };
      return status?.used !== undefined;
    });

  it('without Jobs: the condition says so, and the run goes on when it is raised', async () => {
    await server.client.create(quotas, quota({ 'count/jobs.batch': '0' }));
    await counted();
    await create(emulatorBuilds, manifest('build'));
    const waiting = await condition(emulatorBuilds, 'Waiting');
    expect(waiting.reason).toBe('JobRefused');
    expect(waiting.message).toContain('exceeded quota: none, requested: count/jobs.batch=1');
    await server.client.delete(quotas, namespace, 'none');
    await condition(emulatorBuilds, 'Complete');
  });

  it("without pods: what the Job's events say is in the condition", async () => {
    await server.client.create(quotas, quota({ pods: '0' }));
    await counted();
    await create(emulatorBuilds, manifest('build'));
    const waiting = await condition(emulatorBuilds, 'Waiting');
    expect(waiting.reason).toBe('PodsNotCreated');
    expect(waiting.message).toContain('exceeded quota: none, requested: pods=1');
  });
});

describe('a ValidatingAdmissionPolicy', () => {
  const admission = (plural: string, kind: string): ResourceType => ({
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    plural,
    kind,
    namespaced: false,
  });
  const policies = admission('validatingadmissionpolicies', 'ValidatingAdmissionPolicy');
  const bindings = admission('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding');
  const metadata = { name: 'cost-centre' };

  it('that asks for a label of Jobs is waited for, and the label can be given', async () => {
    const apiVersion = 'admissionregistration.k8s.io/v1';
    await server.client.create(policies, {
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicy', metadata },
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: ['batch'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['jobs'] },
          ],
        },
        validations: [
          { expression: "'cost-centre' in object.metadata.labels", message: 'cost-centre is missing' },
        ],
      },
    });
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
    await server.client.create(bindings, {
      ...{ apiVersion, kind: 'ValidatingAdmissionPolicyBinding', metadata },
      spec: { policyName: metadata.name, validationActions: ['Deny'], matchResources: { namespaceSelector } },
    });
    const probe = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'a', namespace, labels: {} } };
    const spec = { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'a' }] } } };
    await eventually('the policy holds', async () => {
      const made = server.client.create(jobs, { ...probe, spec } as KubeObject);
      if ((await made.catch(() => undefined)) === undefined) return true;
      await server.client.delete(jobs, namespace, 'a', { propagationPolicy: 'Background' });
      return false;
    });
    await create(emulatorBuilds, manifest('build'));
    const waiting = await condition(emulatorBuilds, 'Waiting');
    expect(waiting.reason).toBe('JobRefused');
    expect(waiting.message).toContain('cost-centre is missing');
    await edit(emulatorBuilds, { template: { metadata: { labels: { 'cost-centre': '17' } } } });
    await condition(emulatorBuilds, 'Complete');
  });
});

describe('what an earlier resource left', () => {
  /** The pods' workers that still run, as the played kubelet left them. */
  const running = async () =>
    (await server.client.list(pods, { namespace })).items.filter(
      (pod) => (pod['status'] as { phase?: string }).phase === 'Running',
    );
  const runOn = async () => {
    ending = ({ stage }) => (stage === 'probe' ? 'runs on' : undefined);
    await create(emulatorBuilds, manifest('build'));
    await eventually('its pod runs', async () => (await running()).length === 1);
    ending = undefined;
  };

  it.each([
    [
      'kubectl replace --force',
      async () => {
        const text = JSON.stringify({ ...manifest('build'), metadata: { name: 'tiny', namespace } });
        const directory = mkdtempSync(join(tmpdir(), 'offsite-replace-'));
        writeFileSync(join(directory, 'build.json'), text);
        await kubectl(['replace', '--force', '--grace-period=0', '-f', join(directory, 'build.json')]);
        rmSync(directory, { recursive: true });
      },
    ],
    [
      'delete --cascade=orphan, and apply',
      async () => {
        await server.client.delete(emulatorBuilds, namespace, 'tiny', { propagationPolicy: 'Orphan' });
        await eventually('it is gone', () => read(emulatorBuilds).then(() => false, isNotFound));
        await create(emulatorBuilds, manifest('build'));
      },
    ],
  ])('by %s is waited for: no two pods run at once, and the command told ends it', async (_, leave) => {
    await runOn();
    const [before] = await running();
    await server.client.merge(pods, namespace, before!.metadata.name, {
      // As a node that still ends it: without this a pod without a node is gone at once.
      metadata: { finalizers: ['test/node'] },
    });
    await leave();
    const waiting = await condition(emulatorBuilds, 'Waiting');
    expect(waiting.reason).toBe('LeftoverRunning');
    expect(waiting.message).toContain(before!.metadata.name);
    expect((await running()).map(({ metadata }) => metadata.uid)).toEqual([before!.metadata.uid]);
    const [, command] = /to end it at once: kubectl (.*)$/.exec(waiting.message)!;
    await kubectl([...command!.split(' '), '--wait=false']);
    await server.client.merge(pods, namespace, before!.metadata.name, { metadata: { finalizers: null } });
    await condition(emulatorBuilds, 'Complete');
  });

  it('is no other resource: one with the same output is waited for and named', async () => {
    await runOn();
    const tune = manifest('tune');
    const { output } = manifest('build')['spec'] as { output: object };
    const given = { emulator: { uri: 'pvc://claim/e', digest: `sha256:${'e'.repeat(64)}` } };
    await create(offsiteTunes, tune, { ...given, output });
    const waiting = await condition(offsiteTunes, 'Waiting');
    expect(waiting.reason).toBe('OutputInUse');
    expect(waiting.message).toContain('spec.output.uri: EmulatorBuild tiny writes there');
    await server.client.delete(emulatorBuilds, namespace, 'tiny', { propagationPolicy: 'Foreground' });
    await condition(offsiteTunes, 'Complete');
  });
});

describe('a worker that fails', () => {
  it('once in every shard, as when a store is away for a second: each is tried again', async () => {
    const failed = new Set<string>();
    const message = JSON.stringify({ ok: false, reason: 'StoreUnavailable', message: 'away', exitCode: 1 });
    ending = ({ stage }, pod) => {
      const shard = pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index'] ?? '';
      if (stage !== 'probe' || failed.has(shard)) return undefined;
      failed.add(shard);
      return { exitCode: 1, message };
    };
    const { probe } = manifest('build')['spec'] as { probe: object };
    const inStore = (place: string) => ({ uri: `s3://bucket/${place}` });
    await create(emulatorBuilds, manifest('build'), {
      ...{ backoffLimit: 1, model: inStore('model'), output: inStore('out'), work: inStore('work') },
      probe: { ...probe, data: { ...inStore('rows'), format: 'text' }, shards: 3 },
    });
    await condition(emulatorBuilds, 'Complete');
    expect([...failed].sort()).toEqual(['0', '1', '2']);
    expect(await statusOf(emulatorBuilds)).toMatchObject({ attempt: 1 });
  });

  it('for good: the Job is not tried again, and the reason is in the condition', async () => {
    const message = JSON.stringify({
      ok: false,
      stage: 'probe',
      reason: 'BadData',
      message: 'row 3: no text',
      exitCode: 11,
    });
    ending = () => ({ exitCode: 11, message });
    await create(emulatorBuilds, manifest('build'));
    const failed = await condition(emulatorBuilds, 'Failed');
    expect(failed).toMatchObject({
      reason: 'BadData',
      message: 'stage probe (exit code 11): row 3: no text',
    });
    expect((await server.client.list(pods, { namespace })).items).toHaveLength(1);
    ending = undefined;
    await edit(emulatorBuilds, { layers: 3 });
    await condition(emulatorBuilds, 'Complete');
  });
});

describe('NATS', () => {
  it('away while a stage ends: the pod itself says what it found', async () => {
    operator.reports.connected = false;
    ending = ({ stage }) => (stage === 'probe' ? undefined : { result: recorded.results.assemble });
    await create(emulatorBuilds, manifest('build'));
    const found = async () => (await statusOf(emulatorBuilds)).phase === 'Complete';
    await eventually('it is Complete', found, 40_000);
    expect((await statusOf(emulatorBuilds)).artifact?.digest).toBe(digestIn(recorded.results.assemble));
  });

  it('brings progress into the status, owned by another field manager', async () => {
    ending = () => 'runs on';
    const { metadata } = await create(emulatorBuilds, manifest('build'));
    await eventually('a pod runs', async () => (await statusOf(emulatorBuilds)).phase === 'Running');
    for (let percentage = 1; percentage <= 60; percentage++) {
      operator.reports.publisher.publish(
        { kind: 'EmulatorBuild', metadata: metadata as { name: string } },
        { type: 'progress', stage: 'probe', progressPercentage: percentage, metrics: [] },
      );
    }
    await eventually(
      'the last figure is there',
      async () => (await statusOf(emulatorBuilds)).progress?.progressPercentage === 60,
    );
    expect(await statusOf(emulatorBuilds)).toMatchObject({ phase: 'Running', stage: 'probe' });
    const owners = (await read(emulatorBuilds)).metadata['managedFields'] as {
      manager: string;
      subresource?: string;
    }[];
    const ofStatus = owners
      .filter(({ subresource }) => subresource === 'status')
      .map(({ manager }) => manager);
    expect(ofStatus.sort()).toEqual(['offsite-operator', 'offsite-progress']);
  });
});

describe('a Job', () => {
  it('that somebody deletes comes again', async () => {
    ending = () => 'runs on';
    await create(emulatorBuilds, manifest('build'));
    await eventually('a pod runs', async () => (await statusOf(emulatorBuilds)).phase === 'Running');
    const [name] = await jobNames();
    ending = undefined;
    await server.client.delete(jobs, namespace, name!, { propagationPolicy: 'Background' });
    await condition(emulatorBuilds, 'Complete');
    expect(await statusOf(emulatorBuilds)).toMatchObject({ attempt: 1 });
  });

  it("of somebody else under the resource's name is named, and nothing is touched", async () => {
    const { metadata } = await create(emulatorBuilds, manifest('build'), { suspend: true });
    const spec = { ...(manifest('build')['spec'] as object), suspend: true };
    const name = jobName('tiny', 'probe', {
      specHash: hashOfSpec('EmulatorBuild', metadata.uid!, spec),
      attempt: 1,
    });
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'other', image: 'other' }] } };
    const other = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace }, spec: { template } };
    await server.client.create(jobs, other);
    await edit(emulatorBuilds, { suspend: false });
    const waiting = await condition(emulatorBuilds, 'Waiting');
    expect(waiting.message).toContain(`there is a Job ${name} that belongs to something else: delete it`);
    await server.client.delete(jobs, namespace, name, { propagationPolicy: 'Background' });
    await condition(emulatorBuilds, 'Complete');
  });
});

it('metrics count resources by kind and phase, failures by reason, stages by duration', async () => {
  const body = await operator.metrics.registry.metrics();
  expect(body).toMatch(/offsite_operator_resources\{kind="EmulatorBuild",phase="Complete"\} [1-9]/);
  expect(body).toMatch(/offsite_operator_failures_total\{kind="EmulatorBuild",reason="BadData"\} 1/);
  expect(body).toMatch(
    /offsite_operator_stage_seconds_count\{kind="OffsiteTune",stage="tune",result="done"\} 2/,
  );
  expect(body).toMatch(/offsite_operator_nats_connected 1/);
});
