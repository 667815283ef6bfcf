/** A store of NATS that one run fills: what it takes in afterwards is not less. */
import { describe, it } from 'vitest';
import type { OffsiteTuneStatus } from '../../src/api/index.ts';
import { systemNamespace } from '../support/cluster/chart.ts';
import { forwardPort } from '../support/cluster/forward-port.ts';
import type { Cluster } from '../support/cluster/node.ts';
import { manyContainers, patience, type TinyTune } from '../support/pods/tiny-tune.ts';

/** Of the chart's value `nats.maxStorage`, small enough to be filled in seconds. */
export const smallStore = 'nats.maxStorage=24Mi';
const mebibyte = 2 ** 20;

/** What a run's own credentials let it publish, as much as a subject keeps, in a pod of the run. */
const flood = `
const { readFileSync } = require('node:fs');
const { connect, credsAuthenticator } = require('/app/node_modules/nats');
const { resource: { kind, metadata: { namespace, name, uid } } } = JSON.parse(process.env.OFFSITE_JOB);
(async () => {
  const connection = await connect({
    servers: process.env.OFFSITE_NATS_URL,
    authenticator: credsAuthenticator(readFileSync('/etc/offsite/nats/nats.creds')),
    inboxPrefix: '_INBOX_' + uid,
    timeout: 120_000,
  });
  const jetstream = connection.jetstream();
  const refused = new Set();
  for (let i = 0; i < 100; i++)
    for (const event of ['progress', 'result'])
      await jetstream
        .publish(['offsite.v1', namespace, kind, name, uid, event].join('.'), Buffer.alloc(250_000, 'x'))
        .catch((error) => refused.add(error.message));
  await connection.close();
  console.log([...refused].join());
})();
`;

interface Streams {
  account_details: { stream_detail: { name: string; state: { bytes: number } }[] }[];
}

/** @param tuneOf gives the one that these tests share with others; its release has a `smallStore` */
export function fullStoreTests(tuneOf: () => TinyTune): void {
  describe.concurrent('a full store', () => {
    /** Bytes that each stream holds, by nats-server's own account, which it gives within its pod only. */
    async function stored(cluster: Cluster): Promise<Record<string, number>> {
      const forward = await forwardPort(
        cluster.kubeconfig,
        systemNamespace,
        'pod/offsite-offsite-tuning-nats-0',
        8222,
      );
      try {
        const answer = await fetch(`http://127.0.0.1:${forward.port}/jsz?accounts=true&streams=true`);
        const { account_details: accounts } = (await answer.json()) as Streams;
        const streams = accounts.flatMap(({ stream_detail = [] }) => stream_detail);
        return Object.fromEntries(streams.map(({ name, state }) => [name, state.bytes]));
      } finally {
        await forward.close();
      }
    }

    it('a run that fills it takes nothing from the next one, whose result comes whole', async ({
      expect,
    }) => {
      const tune = tuneOf();
      tune.apply(tune.endless('floods'));
      const running = () => tune.running('floods');
      await expect.poll(running, patience).toHaveLength(1);
      const [pod] = running() as [string];
      expect(tune.kubectl(['exec', pod, '--container', 'worker', '--', 'node', '-e', flood])).toBe('\n');
      const { OFFSITE = 0, OFFSITE_RESULTS = 0 } = await stored(tune.release.cluster);
      expect(OFFSITE).toBeGreaterThan(15 * mebibyte);
      expect(OFFSITE + OFFSITE_RESULTS).toBeLessThanOrEqual(24 * mebibyte);
      tune.kubectl(['delete', 'offsitetune', 'floods', '--wait=false']);
      // Of what its pod leaves behind most is cut off: its status is what came over NATS.
      tune.apply(tune.named('heard', { template: { spec: { containers: manyContainers } } }));
      const heard = () => tune.resources().find(({ metadata }) => metadata.name === 'heard')?.status;
      await expect.poll(() => heard()?.phase, patience).toBe('Complete');
      const { validation, artifact } = tune.alone.status as OffsiteTuneStatus;
      // It may come after the pod's own word.
      await expect.poll(() => heard(), patience).toMatchObject({ validation });
      expect(heard()).toMatchObject({ attempt: 1, artifact: { digest: artifact?.digest } });
    });
  });
}
