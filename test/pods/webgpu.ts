/** A pod whose provider is webgpu, on a Vulkan device in software that lies beside the model: what it comes to is what a CPU gives. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { claimAt } from '../../src/api/index.ts';
import { conditionsText, isComplete, type LiveResource, untilEnded } from '../support/cluster/resources.ts';
import { softwareDevice } from '../support/gpu/software.ts';
import { runLocally } from '../support/pods/local-run.ts';
import { outcomeOf } from '../support/pods/outcome.ts';
import type { Release } from '../support/pods/release.ts';
import {
  familyManifests,
  type Manifest,
  setField,
  writeTinyData,
  writeTinyFamily,
} from '../support/tiny/index.ts';

const family = 'llama';
const namespace = 'vulkan';
const uriOf = (place: string) =>
  `pvc://${place === 'model' ? `models/${family}` : place.startsWith('data/') ? place : `artifacts/${place}`}`;

/** Where the pod sees the claim with the device. */
const device = join(claimAt('models'), 'device');
const driver = join(device, 'vk_swiftshader_icd.json');
const env = Object.entries({
  LD_LIBRARY_PATH: device,
  VK_ICD_FILENAMES: driver,
  VK_DRIVER_FILES: driver,
}).map(([name, value]) => ({ name, value }));

export function webgpuTests(releaseOf: () => Release): void {
  it('provider webgpu on a device in software ends Complete, with the plan of the CPU', async () => {
    const release = releaseOf();
    const directory = mkdtempSync(join(tmpdir(), 'offsite-vulkan-'));
    writeTinyData(join(directory, 'data'));
    writeTinyFamily(join(directory, 'models', family), family);
    const [build] = familyManifests(family, uriOf) as [Manifest];
    const [onCpu] = await runLocally(directory, [build]);

    await release.prepare(namespace, {
      data: join(directory, 'data'),
      models: join(directory, 'models'),
      'models/device': softwareDevice(),
    });
    setField(build, 'spec.engine.provider', 'webgpu');
    setField(build, 'spec.template', { spec: { containers: [{ name: 'worker', env }] } });
    release.apply(namespace, [build]);
    const limitMs = 10 * 60_000;
    const ended = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
    expect(ended.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);
    const planOf = (resource: LiveResource | undefined) => resource && outcomeOf(resource).plan;
    expect(planOf(onCpu)).toBeDefined();
    expect(planOf(ended[0])).toEqual(planOf(onCpu));
    rmSync(directory, { recursive: true });
  });
}
