import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditionsText, isComplete, untilEnded } from '../cluster/resources.ts';
import { runLocally } from './local-run.ts';
import { outcomeOf } from './outcome.ts';
import { canRunNode, Release } from './release.ts';
import { shortQuickstart } from './short-quickstart.ts';

const limitMs = 15 * 60_000;

describe.skipIf(!canRunNode())('the quickstart in real pods', () => {
  let release: Release;
  // Without a CUDA build of the worker, cuda pods run the CPU one: they find no GPU library, as on a broken node.
  beforeAll(async () => {
    release = await Release.install(['worker.cuda.image.repository=offsite-worker']);
  }, limitMs);
  afterAll(() => release?.remove());

  it('two probe pods, then assemble, tune and plug end as `offsite run` of one shard does', async () => {
    const namespace = 'quickstart';
    await release.prepare(namespace);
    release.apply(namespace, shortQuickstart({ shards: 2 }));
    const progress = new Set<string>();
    const inPods = await untilEnded(release.cluster.kubeconfig, namespace, {
      limitMs,
      seen: ({ kind, status }) => status?.progress && progress.add(kind),
    });
    expect(inPods.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);
    expect(podsOf(release, namespace, 'probe')).toBe(2);
    // Only NATS leads to status.progress.
    expect([...progress].sort()).toEqual(['EmulatorBuild', 'OffsiteTune', 'PlugIn']);

    const here = await runLocally(release.directory, shortQuickstart());
    expect(inPods.map(outcomeOf)).toEqual(here.map(outcomeOf));
  });

  it('a pod asks for a GPU, waits while no node has one, lands on one, and says that its engine is not there', async () => {
    const namespace = 'gpu';
    await release.prepare(namespace);
    const [emulatorBuild] = shortQuickstart();
    if (emulatorBuild === undefined) throw new Error('the quickstart has no EmulatorBuild');
    const engine = { provider: 'cuda' };
    release.apply(namespace, [{ ...emulatorBuild, spec: { ...emulatorBuild.spec, engine } }]);
    await until(() => conditionOf(release, namespace, 'Waiting').includes('Insufficient nvidia.com/gpu'));

    release.cluster.setCapacity('nvidia.com/gpu', 1);
    const [build] = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
    expect(build?.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'Failed', status: 'True', reason: 'EngineUnavailable' }),
    );
    const limits = 'jsonpath={.items[*].spec.containers[*].resources.limits.nvidia\\.com/gpu}';
    expect(release.cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'job-name', '-o', limits])).toBe(
      '1',
    );
  });
});

function podsOf({ cluster }: Release, namespace: string, stage: string): number {
  const names = cluster.kubectl(['get', 'pods', '-n', namespace, '-o', 'name']).split('\n');
  return names.filter((name) => name.includes(`-${stage}-`)).length;
}

function conditionOf({ cluster }: Release, namespace: string, type: string): string {
  const message = `jsonpath={.items[*].status.conditions[?(@.type=="${type}")].message}`;
  return cluster.kubectl(['get', 'emulatorbuilds', '-n', namespace, '-o', message]);
}

async function until(holds: () => boolean, limit = 60_000): Promise<void> {
  await expect.poll(holds, { timeout: limit, interval: 500 }).toBe(true);
}
