// 1,000 EmulatorBuilds at once, on a real API server and Job controller: the operator beside a bare loop that makes the
// same writes and reads nothing, in turns, each on a cluster of its own. Prints a table, writes bench/operator-results.json.
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jobs, type KubeObject } from '../operator/runtime/index.ts';
import { ApiServer, eventually } from '../test/support/api/api-server.ts';
import { OperatorBundle } from '../test/support/api/operator-process.ts';
import { freePort } from '../test/support/cluster/ports.ts';
import { median } from './child.ts';
import { bareLoop, createBuilds, creators, image, secondsUntilJobs, writers } from './operator-writes.ts';
import { cpuSecondsOf, peakBytesOf, requestsOf } from './process.ts';

const count = Number(process.env['BENCH_RESOURCES'] ?? 1000);
const rounds = Number(process.env['BENCH_RUNS'] ?? 3);
const idleSeconds = Number(process.env['BENCH_IDLE_SECONDS'] ?? 60);

const bundle = new OperatorBundle();
const operator: Awaited<ReturnType<typeof operatorRound>>[] = [];
const bare: number[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    operator.push(await onOwnCluster(operatorRound));
    bare.push(await onOwnCluster(bareRound));
    const [ours, theirs] = [operator.at(-1)!.seconds, bare.at(-1)!].map((seconds) => seconds.toFixed(1));
    console.error(`round ${round + 1} of ${rounds}: operator ${ours} s, bare loop ${theirs} s`);
  }
} finally {
  await bundle.remove();
}

const results = {
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
  settings: { resources: count, rounds, creators, writers, idleSeconds },
  secondsUntilAllJobs: {
    operator: median(operator.map(({ seconds }) => seconds)),
    bareLoop: median(bare),
    times: median(operator.map(({ seconds }, i) => seconds / bare[i]!)),
  },
  peakBytes: Math.max(...operator.map(({ peakBytes }) => peakBytes)),
  idleCpuShare: median(operator.map(({ idleCpuShare }) => idleCpuShare)),
  requestsPerResource: operator.at(-1)!.requestsPerResource,
};
const file = fileURLToPath(new URL('operator-results.json', import.meta.url));
writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
print(results);

async function onOwnCluster<T>(round: (server: ApiServer, namespace: string) => Promise<T>): Promise<T> {
  const server = await ApiServer.start({ controllerManager: true });
  try {
    return await round(server, await server.namespace('bench'));
  } finally {
    await bundle.killAll();
    await server.stop();
  }
}

function bareRound({ client }: ApiServer, namespace: string): Promise<number> {
  return secondsUntilJobs(client, namespace, count, () => bareLoop(client, namespace, count));
}

async function operatorRound(server: ApiServer, namespace: string) {
  const { client, plane } = server;
  const port = await freePort();
  const flags = ['--metrics-port', `${port}`, '--worker-image', image, '--concurrency', `${writers}`];
  const process = bundle.start(plane.kubeconfig, ...flags);
  await eventually('the operator leads', () => process.said('leading'), 120_000);
  const seconds = await secondsUntilJobs(client, namespace, count, () =>
    createBuilds(client, namespace, count),
  );
  const pid = process.child.pid!;
  await calm(server, namespace);
  const before = cpuSecondsOf(pid);
  await sleep(idleSeconds * 1000);
  const idleCpuShare = (cpuSecondsOf(pid) - before) / idleSeconds;
  const requests = await requestsOf(port);
  // The lease is renewed, and caches are filled, whether there is work or not; events are read of pods that are stuck.
  const each = Object.entries(requests).filter(([name]) => !/^(list|watch) (?!Event)| Lease$/.test(name));
  return {
    seconds,
    peakBytes: peakBytesOf(pid),
    idleCpuShare,
    requestsPerResource: Object.fromEntries(each.map(([name, total]) => [name, total / count])),
  };
}

/** Until every Job has its pod, which the Job controller makes at some 20 requests a second, and that was looked at. */
async function calm({ client }: ApiServer, namespace: string): Promise<void> {
  const active = async () => {
    const { items } = await client.list<KubeObject & { status?: { active?: number } }>(jobs, { namespace });
    return items.every(({ status }) => status?.active === 1);
  };
  while (!(await active())) await sleep(5000);
  await sleep(30_000);
}

function print({ secondsUntilAllJobs: seconds, peakBytes, idleCpuShare, ...rest }: typeof results): void {
  const rows: [string, string][] = [
    ['until all Jobs exist, operator', `${seconds.operator.toFixed(1)} s`],
    ['the same, bare loop', `${seconds.bareLoop.toFixed(1)} s`],
    ['ratio', `${seconds.times.toFixed(2)} x`],
    ['peak memory', `${(peakBytes / 1e6).toFixed(0)} MB`],
    ['idle', `${(100 * idleCpuShare).toFixed(2)} % of a core`],
    ...Object.entries(rest.requestsPerResource).map(([name, each]): [string, string] => [
      `requests a resource, ${name}`,
      each.toFixed(3),
    ]),
  ];
  console.log(`${count} EmulatorBuilds created at once`);
  for (const [name, value] of rows) console.log(`${name.padEnd(44)}${value}`);
}
