import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conditionsText, isComplete, offsiteResources, untilEnded } from '../support/cluster/resources.ts';
import { runLocally } from '../support/pods/local-run.ts';
import { type Outcome, outcomeOf } from '../support/pods/outcome.ts';
import { canRunNode, Release } from '../support/pods/release.ts';
import { shortExample } from '../support/pods/short-example.ts';

const limitMs = 20 * 60_000;
/** So many steps that there is time to disturb them. */
const manifests = shortExample({ steps: 24 });

describe.skipIf(!canRunNode())('disturbed runs in real pods end as the undisturbed run', () => {
  let release: Release;
  let undisturbed: Outcome[];
  beforeAll(async () => {
    release = await Release.install();
    undisturbed = (await runLocally(release.directory, manifests)).map(outcomeOf);
  }, limitMs);
  afterAll(() => release?.remove());

  /** Applies the manifests in a new namespace, calls `disturb` and expects the undisturbed outcome. */
  async function run(namespace: string, disturb: () => Promise<void>): Promise<void> {
    await release.prepare(namespace);
    release.apply(namespace, manifests);
    await disturb();
    const ended = await untilEnded(release.cluster.kubeconfig, namespace, { limitMs });
    expect(ended.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);
    expect(ended.map(outcomeOf)).toEqual(undisturbed);
  }

  /** Waits until a stage says that it is at work. */
  async function untilAtWork(namespace: string, stage: string, percentage = 0): Promise<void> {
    const atWork = () =>
      offsiteResources(release.cluster.kubeconfig, namespace).some(({ status }) => {
        const { stage: name = '', progressPercentage = 0 } = status?.progress ?? {};
        return status?.phase === 'Running' && name.startsWith(stage) && progressPercentage >= percentage;
      });
    await expect.poll(atWork, { timeout: 300_000, interval: 200 }).toBe(true);
  }

  it('a pod deleted in probe, in tune and in plug', async () => {
    const namespace = 'deleted';
    const deletePod = (stage: string) => {
      const names = release.cluster.kubectl(['get', 'pods', '-n', namespace, '-o', 'name']).split('\n');
      const pod = names.find((name) => name.includes(`-${stage}-`));
      release.cluster.kubectl(['delete', '-n', namespace, String(pod), '--wait=false']);
    };
    await run(namespace, async () => {
      const started = () =>
        release.cluster.kubectl(['get', 'pods', '-n', namespace, '-l', 'job-name', '-o', 'name']);
      await expect.poll(started, { timeout: 60_000, interval: 100 }).toContain('-probe-');
      deletePod('probe');
      await untilAtWork(namespace, 'tune', 20);
      deletePod('tune');
      await untilAtWork(namespace, 'plug', 10);
      deletePod('plug');
    });
    const [, tune] = offsiteResources(release.cluster.kubeconfig, namespace);
    // The second pod went on from the first one's checkpoint.
    expect(tune?.status).toMatchObject({ training: { resumes: 1 } });
  });

  it('NATS stopped for a minute in tune', async () => {
    const namespace = 'nats-away';
    await run(namespace, async () => {
      await untilAtWork(namespace, 'tune');
      scaleNats(0);
      const said = [
        'get',
        'offsitetunes',
        '-n',
        namespace,
        '-o',
        'jsonpath={.items[*].status.conditions[*].reason}',
      ];
      await expect
        .poll(() => release.cluster.kubectl(said), { timeout: 30_000 })
        .toContain('NatsUnavailable');
      await sleep(60_000);
      scaleNats(1);
    });
  });

  function scaleNats(replicas: number): void {
    const nats = ['statefulset', '-n', 'offsite-system', '-l', 'app.kubernetes.io/component=nats'];
    release.cluster.kubectl(['scale', ...nats, `--replicas=${replicas}`]);
  }

  it('the API server restarted in tune', async () => {
    const namespace = 'api-restarted';
    await run(namespace, async () => {
      await untilAtWork(namespace, 'tune');
      await release.cluster.controlPlane.restart({ downMs: 5000, crash: true });
    });
  });
});
