// 1,000 EmulatorBuilds at once: time until all their Jobs exist, against a bare loop of the same writes on the same
// API server; requests a resource, peak memory, CPU when nothing happens. Prints a table, writes bench/operator.json.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { decide } from '../operator/emulator-build/index.ts';
import { jobs, type KubeObject } from '../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds } from '../test/api/api-server.ts';

const count = Number(process.env['BENCH_RESOURCES'] ?? 1000);
/** Requests under way at once: of who creates, of the bare loop, and of the operator's queue. */
const concurrency = 8;
const image = 'worker:bench';

const server = await ApiServer.start({ controllerManager: true });
const directory = mkdtempSync(join(tmpdir(), 'offsite-bench-'));
let operator: ChildProcess | undefined;
try {
  const bare = await bareLoop(await server.namespace('bare'));
  await quiet();
  const namespace = await server.namespace('operator');
  const { process: running, port } = await startOperator(namespace);
  operator = running;
  const idleBefore = await cpuShare(running, 10);
  const withOperator = await timed(async () => {
    await all((i) => create(namespace, i));
    while ((await jobsIn(namespace)) < count) await sleep(100);
  });
  await quiet();
  const requests = await requestsOf(port);
  const results = {
    resources: count,
    secondsUntilAllJobs: { operator: withOperator, bareLoop: bare, times: withOperator / bare },
    requestsPerResource: requests / count,
    peakBytes: peakOf(running),
    idleCpuShare: { before: idleBefore, with: await cpuShare(running, 20) },
  };
  writeFileSync(
    fileURLToPath(new URL('operator.json', import.meta.url)),
    `${JSON.stringify(results, null, 2)}\n`,
  );
  console.log(table(results));
} finally {
  operator?.kill('SIGTERM');
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** The writes that the operator makes for each resource, made without looking. @returns seconds */
function bareLoop(namespace: string): Promise<number> {
  const { client } = server;
  return timed(() =>
    all(async (i) => {
      const object = await create(namespace, i);
      const nothing = { jobs: [], pods: [], dependencies: {}, claims: new Map(), notes: new Map() };
      const observed = { object, ...nothing, reports: { connected: undefined, results: {} } };
      const { status, create: made } = decide(observed, { image }, new Date());
      const { name, uid, resourceVersion } = object.metadata;
      const metadata = { name, namespace, uid, resourceVersion } as KubeObject['metadata'];
      const body = { apiVersion: object.apiVersion, kind: object.kind, metadata, status };
      await client.applyStatus(emulatorBuilds, body, { fieldManager: 'offsite-operator', force: true });
      for (const job of made) await client.create(jobs, job, { fieldValidation: 'Strict' });
    }),
  );
}

function create(namespace: string, i: number): Promise<KubeObject> {
  return server.client.create<KubeObject>(emulatorBuilds, {
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind: 'EmulatorBuild',
    metadata: { name: `words-${i}`, namespace },
    spec: {
      model: { uri: 'pvc://models/smollm2' },
      probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' } },
      layers: 24,
      output: { uri: `pvc://artifacts/words-${i}` },
    },
  });
}

async function all(task: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

async function timed(task: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await task();
  return (performance.now() - start) / 1000;
}

async function jobsIn(namespace: string): Promise<number> {
  return (await server.client.list(jobs, { namespace })).items.length;
}

/** Until the Job controller has made every pod: its work must not be counted to who comes next. */
async function quiet(): Promise<void> {
  const { client } = server;
  const behind = async () =>
    (await client.list(jobs)).items.some((job) => !(job['status'] as object | undefined));
  const active = async () =>
    (await client.list(jobs)).items.some(
      (job) => (job['status'] as { active?: number } | undefined)?.active !== 1,
    );
  while ((await behind()) || (await active())) await sleep(1000);
  await sleep(3000);
}

/** As the image runs it. */
async function startOperator(namespace: string): Promise<{ process: ChildProcess; port: number }> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  execFileSync(process.execPath, ['scripts/images/stage.ts', 'operator', directory], { cwd: root });
  const entry =
    /ENTRYPOINT (\[.*\])/.exec(readFileSync(join(root, 'images/operator/Dockerfile'), 'utf8'))?.[1] ?? '[]';
  const flags = (JSON.parse(entry) as string[]).filter((part) => part.startsWith('--'));
  const port = 18_000 + (process.pid % 1000);
  const own = ['--worker-image', image, '--namespaces', namespace, '--metrics-port', String(port)];
  const child = spawn(
    process.execPath,
    [...flags, join(directory, 'app/main.mjs'), ...own, '--leader-election', 'false'],
    {
      env: { PATH: process.env['PATH'], KUBECONFIG: server.plane.kubeconfig, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  while (!(await isReady(port))) await sleep(100);
  return { process: child, port };
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Requests to the API server, without lists and watches, which are few. */
async function requestsOf(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = text.matchAll(/^offsite_operator_api_requests_total\{verb="(?!list|watch).*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, requests]) => sum + Number(requests), 0);
}

/** Linux: the most memory that the process ever had in use. */
function peakOf({ pid }: ChildProcess): number {
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

/** Share of one processor over so many seconds. */
async function cpuShare({ pid }: ChildProcess, seconds: number): Promise<number> {
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  await sleep(seconds * 1000);
  return (ticks() - before) / 100 / seconds;
}

interface Results {
  resources: number;
  secondsUntilAllJobs: { operator: number; bareLoop: number; times: number };
  requestsPerResource: number;
  peakBytes: number;
  idleCpuShare: { before: number; with: number };
}

function table(results: Results): string {
  const { resources, secondsUntilAllJobs: seconds, requestsPerResource, peakBytes, idleCpuShare } = results;
  return [
    `| ${resources} EmulatorBuilds at once | |`,
    '|---|---|',
    `| until all Jobs exist, operator | ${seconds.operator.toFixed(1)} s |`,
    `| the same writes in a bare loop | ${seconds.bareLoop.toFixed(1)} s (${seconds.times.toFixed(2)} times) |`,
    `| writes a resource, events included | ${requestsPerResource.toFixed(2)} |`,
    `| peak memory | ${(peakBytes / 1e6).toFixed(0)} MB |`,
    `| CPU when nothing happens | ${(100 * idleCpuShare.with).toFixed(1)} % of one processor |`,
  ].join('\n');
}
