import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditionsText, isComplete, type LiveResource, untilEnded } from '../support/cluster/resources.ts';
import { runLocally } from '../support/pods/local-run.ts';
import { outcomeOf } from '../support/pods/outcome.ts';
import { canRunNode, Release } from '../support/pods/release.ts';
import { shortExample } from '../support/pods/short-example.ts';
import { TinyTune } from '../support/pods/tiny-tune.ts';
import { familyManifests, setField, writeTinyData, writeTinyFamily } from '../support/tiny/index.ts';
import { besideTests, startBeside } from './beside.ts';
import { fullStoreTests, smallStore } from './full-store.ts';
import { replacedTests } from './replaced.ts';
import { webgpuTests } from './webgpu.ts';

const limitMs = 15 * 60_000;
const lowRank = { type: 'lowRank', ratio: '0.5' };
/** Small random models of other families: how each becomes an emulator, and what is trained on it. */
const families: Record<string, { build: Record<string, unknown>; adapter: object }> = {
  gpt2: {
    build: { strategy: 'none', layers: undefined, compression: lowRank, transferLayers: { count: 0 } },
    adapter: { type: 'lora', rank: 2, alpha: 8 },
  },
  'opt-post-norm-projected': {
    build: { compression: { type: 'quantize', bits: 8 } },
    adapter: { type: 'layers' },
  },
};

describe.skipIf(!canRunNode())('in real pods', () => {
  let release: Release;
  let tune: TinyTune;
  // Without other builds of the worker cuda pods run the CPU one: they find no GPU library, as on a broken node.
  beforeAll(async () => {
    const images = ['cuda', 'webgpu'].map((provider) => `worker.${provider}.image.repository=offsite-worker`);
    release = await Release.install([...images, smallStore]);
    tune = await TinyTune.prepare(release, 'tiny');
    startBeside(tune);
  }, limitMs);
  afterAll(() => release?.remove());

  describe('the three resources', () => {
    it('two probe pods, then assemble, tune and plug end as `offsite run` of one shard does', async () => {
      const namespace = 'example';
      await release.prepare(namespace);
      release.apply(namespace, shortExample({ shards: 2 }));
      const progress = new Set<string>();
      const inPods = await untilEnded(release.cluster.kubeconfig, namespace, {
        limitMs,
        seen: ({ kind, status }) => status?.progress && progress.add(kind),
      });
      expect(inPods.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);
      expect(podsOf(release, namespace, 'probe')).toBe(2);
      // Only NATS leads to status.progress.
      expect([...progress].sort()).toEqual(['EmulatorBuild', 'OffsiteTune', 'PlugIn']);

      const here = await runLocally(release.directory, shortExample());
      expect(inPods.map(outcomeOf)).toEqual(here.map(outcomeOf));
    });

    it('other families, compressed, with LoRA beside every map and with the layers themselves, end as `offsite run` does', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'offsite-families-'));
      const namespace = 'families';
      writeTinyData(join(directory, 'data'));
      const manifests = Object.entries(families).flatMap(([family, { build: fields, adapter }]) => {
        writeTinyFamily(join(directory, 'models', family), family);
        const three = familyManifests(family, (place) => uriOf(family, place), adapter);
        for (const [field, value] of Object.entries(fields)) setField(three[0]!, `spec.${field}`, value);
        return three;
      });
      await release.prepare(namespace, {
        data: join(directory, 'data'),
        models: join(directory, 'models'),
      });
      release.apply(namespace, manifests);
      const inPods = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
      expect(inPods.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);

      const here = await runLocally(directory, manifests);
      expect(outcomes(inPods)).toEqual(outcomes(here));
      rmSync(directory, { recursive: true });
    });

    it('a pod asks for a GPU, waits while no node has one, lands on one, and says that its engine is not there', async () => {
      const namespace = 'gpu';
      await release.prepare(namespace);
      const [emulatorBuild] = shortExample();
      if (emulatorBuild === undefined) throw new Error('the example has no EmulatorBuild');
      const engine = { provider: 'cuda' };
      release.apply(namespace, [{ ...emulatorBuild, spec: { ...emulatorBuild.spec, engine } }]);
      await until(() => conditionOf(release, namespace, 'Waiting').includes('Insufficient nvidia.com/gpu'));

      release.cluster.setCapacity('nvidia.com/gpu', 1);
      const [build] = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
      expect(build?.status?.conditions).toContainEqual(
        expect.objectContaining({
          ...{ type: 'Failed', status: 'True', reason: 'EngineUnavailable' },
          // The library's own words.
          message: expect.stringMatching(
            /provider cuda cannot start: .*libonnxruntime_providers_cuda\.so is not there/,
          ),
        }),
      );
      const limits = 'jsonpath={.items[*].spec.containers[*].resources.limits.nvidia\\.com/gpu}';
      expect(release.cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'job-name', '-o', limits])).toBe(
        '1',
      );
    });
  });
  webgpuTests(() => release);
  besideTests(() => tune);
  replacedTests(() => tune);
  fullStoreTests(() => tune);
});

/** Models by family, rows shared, artifacts by family and what they are. */
function uriOf(family: string, place: string): string {
  if (place === 'model') return `pvc://models/${family}`;
  return place.startsWith('data/')
    ? `pvc://${place}`
    : `pvc://artifacts/${family}-${place.slice('out/'.length)}`;
}

/** Outcomes by kind and name, since the cluster lists them in another order. */
const outcomes = (resources: readonly LiveResource[]) =>
  Object.fromEntries(
    resources.map((resource) => [`${resource.kind}/${resource.metadata.name}`, outcomeOf(resource)]),
  );

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
