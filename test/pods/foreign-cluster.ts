/** A cluster that is not ours: users out of a range, and stores behind a proxy and an authority of the house, as docs/install.md says. */
import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { builtImages, installChart, smallRequests, systemNamespace } from '../support/cluster/chart.ts';
import { conditionsText, isComplete, untilEnded } from '../support/cluster/resources.ts';
import { directoryOf } from '../support/cluster/volumes.ts';
import { runLocally } from '../support/pods/local-run.ts';
import { outcomeOf } from '../support/pods/outcome.ts';
import type { Release } from '../support/pods/release.ts';
import { giveUids, giveUidsNoMore, rangeUid } from '../support/pods/uid-range.ts';
import { PrivateNetwork } from '../support/processes/private-network.ts';
import {
  type Manifest,
  setField,
  tinyManifests,
  writeTinyData,
  writeTinyModel,
} from '../support/tiny/index.ts';

const limitMs = 10 * 60_000;
const namespace = 'foreign';

/** @param release that these tests share with others; its values stay as they are here */
export function foreignClusterTests(release: () => Release): void {
  describe('in a cluster that is not ours', () => {
    let network: PrivateNetwork;
    let directory: string;
    const kubectl = (...args: string[]) => release().cluster.kubectl(args);

    beforeAll(async () => {
      directory = join(release().directory, 'foreign');
      mkdirSync(directory);
      writeTinyModel(join(directory, 'model'), { shardBytes: 100_000 });
      writeTinyData(join(directory, 'data'));
      network = await PrivateNetwork.start(directory, release().cluster.outside);
      await giveUids(release().cluster);
      await release().prepare(namespace, {});
      for (const place of [systemNamespace, namespace])
        kubectl('create', 'configmap', 'company-ca', '-n', place, `--from-file=ca.crt=${network.authority}`);
      for (const [name, values] of Object.entries({
        keys: network.keys,
        hub: { token: PrivateNetwork.token },
        proxy: { url: network.proxyUrl },
      })) {
        const literals = Object.entries(values).map(([key, value]) => `--from-literal=${key}=${value}`);
        kubectl('create', 'secret', 'generic', name, '-n', namespace, ...literals);
      }
      const values = join(directory, 'values.yaml');
      writeFileSync(values, stringify(valuesFor(network)));
      installChart(release().cluster.kubeconfig, [...builtImages, ...smallRequests], ['--values', values]);
    }, limitMs);
    afterAll(async () => {
      giveUidsNoMore(release().cluster);
      await network?.close();
      rmSync(directory, { recursive: true, force: true });
    }, limitMs);

    it('the three resources end as `offsite run` does that knows no proxy, no authority and no range', async () => {
      release().apply(namespace, manifests());
      const inPods = await untilEnded(release().cluster.kubeconfig, namespace, { limitMs });
      expect(inPods.filter((resource) => !isComplete(resource)).map(conditionsText)).toEqual([]);

      const here = await runLocally(directory, Object.values(tinyManifests()));
      expect(inPods.map(outcomeOf)).toEqual(here.map(outcomeOf));
      expect(new Set(network.asked)).toEqual(new Set(PrivateNetwork.names.map((name) => `CONNECT ${name}`)));
      const artifacts = directoryOf(release().cluster.kubeconfig, namespace, 'artifacts');
      expect(lstatSync(join(artifacts, 'adapter/manifest.json'))).toMatchObject({
        uid: rangeUid,
        gid: rangeUid,
      });
    });
  });
}

/** Model from the hub, rows from S3, artifacts in S3 and in a claim. */
function manifests(): Manifest[] {
  const { build, tune, plug } = tinyManifests((place) => `s3://team/${place}`);
  const model = { uri: 'hf://team/tiny@v1', secretRef: { name: 'hub' } };
  setField(build, 'spec.model', model);
  setField(plug, 'spec.model', model);
  const inBucket: [Manifest, string][] = [
    [build, 'spec.probe.data'],
    [build, 'spec.output'],
    [tune, 'spec.data'],
    [tune, 'spec.data.validation'],
    [plug, 'spec.evaluation.tasks.0.data'],
    [plug, 'spec.output'],
  ];
  for (const [manifest, field] of inBucket) setField(manifest, `${field}.secretRef`, { name: 'keys' });
  setField(tune, 'spec.output.uri', 'pvc://artifacts/adapter');
  return [build, tune, plug];
}

/** What docs/install.md gives to an administrator; the proxy's password is in a Secret of the users' namespaces. */
const valuesFor = ({ mirrors }: PrivateNetwork) => ({
  userIds: 'cluster',
  caBundle: { configMap: 'company-ca', key: 'ca.crt' },
  proxy: { except: '.svc,.cluster.local' },
  worker: {
    template: {
      spec: {
        containers: [
          {
            name: 'worker',
            env: [
              { name: 'HTTPS_PROXY', valueFrom: { secretKeyRef: { name: 'proxy', key: 'url' } } },
              ...Object.entries(mirrors).map(([name, value]) => ({ name, value })),
            ],
          },
        ],
      },
    },
  },
});
