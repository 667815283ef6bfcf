// The image worker-cuda, made of package registries, in a real pod of a node that has a GPU's name and no driver: the status has the
// words of the linker that looked for it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { images } from '../support/cluster/programs.ts';
import { untilEnded } from '../support/cluster/resources.ts';
import { canRunNode, Release } from '../support/pods/release.ts';
import { shortExample } from '../support/pods/short-example.ts';

const limitMs = 25 * 60_000;

describe.skipIf(!canRunNode())('the image worker-cuda', () => {
  let release: Release;
  beforeAll(async () => {
    const [archive] = images('worker-cuda');
    release = await Release.install();
    release.cluster.importImage(archive as string);
    release.cluster.setCapacity('nvidia.com/gpu', 1);
  }, limitMs);
  afterAll(() => release?.remove());

  it('without a GPU ends as EngineUnavailable, with the reason of what is missing', async () => {
    const namespace = 'cuda';
    await release.prepare(namespace);
    const [build] = shortExample();
    if (build === undefined) throw new Error('the example has no EmulatorBuild');
    release.apply(namespace, [{ ...build, spec: { ...build.spec, engine: { provider: 'cuda' } } }]);
    const [ended] = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
    expect(ended?.status?.conditions).toContainEqual(
      expect.objectContaining({
        ...{ type: 'Failed', status: 'True', reason: 'EngineUnavailable' },
        message: expect.stringMatching(
          /provider cuda cannot start: .*libcuda\.so\.1: cannot open shared object file/,
        ),
      }),
    );
    const image = 'jsonpath={.items[*].spec.containers[?(@.name=="worker")].image}';
    const ran = release.cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'job-name', '-o', image]);
    expect(ran).toContain('offsite-worker-cuda:');
  });
});
