/**
 * A rolling update with work of every state, by hand: node test/api/upgrade.ts COMMIT. The operator of that commit leads, one of
 * this tree takes over and hands back. Nothing may run again, nothing may fail: it ends with 1 where something did.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jobs, type KubeObject, pods } from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, eventually, offsiteTunes, plugIns } from '../support/api/api-server.ts';
import { differences } from '../support/api/differences.ts';
import { type Ending, Kubelet, type Told } from '../support/api/kubelet.ts';
import { OperatorBundle } from '../support/api/operator-process.ts';
import { recordResults } from '../support/api/recorded.ts';

const root = join(import.meta.dirname, '../..');
const all = [emulatorBuilds, offsiteTunes, plugIns];
/** For what the operator could do wrong, once it leads and has looked at everything. */
const quietMilliseconds = 15_000;

const [commit] = process.argv.slice(2);
if (commit === undefined) throw new Error('which commit is updated from? node test/api/upgrade.ts COMMIT');

const directory = mkdtempSync(join(tmpdir(), 'offsite-upgrade-'));
const source = join(directory, 'source');
execFileSync('git', ['worktree', 'add', '--quiet', '--detach', source, commit], { cwd: root });
symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));

const bundles = { before: new OperatorBundle(source), now: new OperatorBundle() };
const server = await ApiServer.start({ controllerManager: true });
const { manifests, results } = await recordResults();

/** A namespace each, and how pods end there. */
const states: Record<string, (told: Told) => Ending> = {
  done: ({ stage }) => ({ result: results[stage] }),
  running: ({ stage }) => (stage === 'tune' ? 'runs on' : { result: results[stage] }),
  failed: ({ stage }) =>
    stage === 'tune'
      ? { exitCode: 11, message: JSON.stringify({ ...bad, stage }) }
      : { result: results[stage] },
  suspended: ({ stage }) => ({ result: results[stage] }),
  queued: ({ stage }) => ({ result: results[stage] }),
};
const bad = { ok: false, reason: 'BadData', message: 'row 3: no answer', exitCode: 11 };

const kubelet = new Kubelet(server.client, {
  results,
  ending: (told) => states[told.resource.metadata.namespace]!(told),
});
await kubelet.start();

async function setUp(): Promise<void> {
  for (const name of ['operator', ...Object.keys(states)]) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await server.client.create(
      { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false },
      namespace,
    );
  }
  for (const namespace of Object.keys(states)) {
    for (const [i, manifest] of [manifests.build, manifests.tune, manifests.plug].entries()) {
      const labels = namespace === 'queued' ? { 'kueue.x-k8s.io/queue-name': 'team' } : {};
      const spec = { ...manifest.spec, ...(namespace === 'suspended' && i > 0 && { suspend: true }) };
      const metadata = { ...manifest.metadata, namespace, labels };
      await server.client.create<KubeObject>(all[i]!, { ...manifest, metadata, spec });
    }
  }
}

/** All that must stay as it is: every status but its progress, every Job and pod by uid. */
async function state(): Promise<object> {
  const found: Record<string, unknown> = {};
  for (const type of all) {
    const { items } = await server.client.list<KubeObject & { status?: { phase?: string } }>(type);
    for (const { metadata, status } of items)
      found[`${type.kind} ${metadata.namespace}`] = { ...status, progress: undefined };
  }
  for (const type of [jobs, pods]) {
    const { items } = await server.client.list<KubeObject>(type);
    for (const { metadata } of items)
      found[`${type.kind} ${metadata.namespace}/${metadata.name}`] = metadata.uid;
  }
  return found;
}

const phase = async (type: (typeof all)[number], namespace: string) =>
  ((await server.client.get(type, namespace, 'tiny'))['status'] as { phase?: string } | undefined)?.phase;

const flags = ['--namespace', 'operator'];
const start = (which: keyof typeof bundles) => bundles[which].start(server.plane.kubeconfig, ...flags);

/** The one that leads is told to end, and the other takes over, as a Deployment does it. */
async function handOver(from: ReturnType<typeof start>, to: keyof typeof bundles, problems: string[]) {
  const next = start(to);
  await eventually('it is there', () => next.said('starting'));
  const before = await state();
  const ran = kubelet.ran.length;
  await from.stop();
  await eventually('it leads', () => next.said('leading'));
  await sleep(quietMilliseconds);
  problems.push(...differences(before, await state()).map((difference) => `${to}: ${difference}`));
  if (kubelet.ran.length !== ran) problems.push(`${to}: ran again: ${kubelet.ran.slice(ran).join(', ')}`);
  problems.push(...next.complaints().map((line) => `${to}: ${line}`));
  return next;
}

/** The pod that runs on ends well. */
async function endRunning(): Promise<void> {
  const { items } = await server.client.list<KubeObject>(pods, { namespace: 'running' });
  const pod = items.find((other) => (other['status'] as { phase?: string }).phase === 'Running')!;
  const { artifact, ...summary } = results.tune;
  const message = JSON.stringify({ ok: true, stage: 'tune', artifact, summary });
  const finishedAt = new Date().toISOString();
  const terminated = { exitCode: 0, reason: 'Completed', startedAt: finishedAt, finishedAt, message };
  const container = { name: 'worker', image: 'x', imageID: 'x', ready: false, restartCount: 0 };
  const status = { phase: 'Succeeded', containerStatuses: [{ ...container, state: { terminated } }] };
  await server.client.merge(pods, 'running', pod.metadata.name, { status }, { subresource: 'status' });
}

const problems: string[] = [];
try {
  await setUp();
  let operator = start('before');
  await eventually('all states are reached', async () => {
    const reached = await Promise.all([
      phase(plugIns, 'done'),
      phase(offsiteTunes, 'running'),
      phase(offsiteTunes, 'failed'),
      phase(offsiteTunes, 'suspended'),
      phase(emulatorBuilds, 'queued'),
    ]);
    return reached.join() === 'Complete,Running,Failed,Suspended,Pending';
  });
  await sleep(2000);
  operator = await handOver(operator, 'now', problems);
  operator = await handOver(operator, 'before', problems);
  operator = await handOver(operator, 'now', problems);
  const ran = kubelet.ran.length;
  await endRunning();
  states['running'] = ({ stage }) => ({ result: results[stage] });
  await server.client.merge(offsiteTunes, 'suspended', 'tiny', { spec: { suspend: false } });
  await server.client.merge(plugIns, 'suspended', 'tiny', { spec: { suspend: false } });
  for (const namespace of ['running', 'suspended'])
    await eventually(
      `${namespace} is Complete`,
      async () => (await phase(plugIns, namespace)) === 'Complete',
    );
  console.log(`after the update ran: ${kubelet.ran.slice(ran).join('; ')}`);
  await operator.stop();
  console.log(`states kept over three hand-overs: ${Object.keys(await state()).length} objects`);
} finally {
  kubelet.stop();
  for (const bundle of Object.values(bundles)) await bundle.remove();
  await server.stop();
  execFileSync('git', ['worktree', 'remove', '--force', source], { cwd: root });
  rmSync(directory, { recursive: true, force: true });
}
console.log(problems.length === 0 ? 'nothing ran again, nothing failed' : problems.join('\n'));
process.exit(problems.length === 0 ? 0 : 1);
