// 300 pods that report for an hour, played faster than they would: a real nats-server, the publishers of pods, and what the
// operator hears by. Prints a table, writes bench/nats-results.json. BENCH_BEFORE=DIR, a checkout of an earlier commit, is
// played first.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type NatsConnection } from 'nats';
import { NatsServer } from '../test/support/servers/nats-server.ts';
import { cpuSecondsOf, peakBytesOf, residentBytesOf } from './process.ts';

const pods = Number(process.env['BENCH_PODS'] ?? 300);
const minutes = Number(process.env['BENCH_MINUTES'] ?? 60);
/** How many times faster than a pod would send; what is remembered for a time is remembered so much shorter. */
const times = Number(process.env['BENCH_TIMES'] ?? 10);
const runMinutes = 10;
const betweenEvents = 500;
const runs = Math.max(1, Math.round(minutes / runMinutes));

const root = fileURLToPath(new URL('..', import.meta.url));
const before = process.env['BENCH_BEFORE'];
const results = {
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version },
  settings: { pods, minutes, times, runMinutes, betweenEvents },
  ...(before && { before: await hour(before) }),
  now: await hour(root),
};
writeFileSync(
  fileURLToPath(new URL('nats-results.json', import.meta.url)),
  `${JSON.stringify(results, null, 2)}\n`,
);
print(results);

async function hour(of: string) {
  const server = await NatsServer.start({ limits: 'max_memory_store: 0, max_file_store: 3GB' });
  const listener = spawn(process.execPath, [join(import.meta.dirname, 'nats-operator.ts'), of, server.url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const heard = linesOf(listener);
  try {
    await until(() => heard.length > 0);
    const connection = await connect({ servers: server.url });
    await forgetSooner(connection);
    const start = performance.now();
    await play(of, server.url);
    const seconds = (performance.now() - start) / 1000;
    const { streams } = await connection.jetstreamManager();
    const infos = [];
    for await (const info of streams.list()) infos.push(info);
    const measured = {
      seconds,
      messages: infos.find(({ config }) => config.name === 'OFFSITE')!.state.last_seq,
      storedBytes: infos.reduce((sum, { state }) => sum + state.bytes, 0),
      natsBytes: residentBytesOf(server.pid),
      natsPeakBytes: peakBytesOf(server.pid),
      natsCpuSeconds: cpuSecondsOf(server.pid),
      operatorPeakBytes: peakBytesOf(listener.pid!),
      operatorCpuSeconds: cpuSecondsOf(listener.pid!),
    };
    await connection.close();
    listener.stdin!.end();
    await once(listener, 'close');
    const { heard: reports } = JSON.parse(heard.at(-1)!) as { heard: number };
    return { ...measured, reports, bytesOfARun: Math.round(measured.storedBytes / (pods * runs)) };
  } finally {
    listener.kill('SIGKILL');
    await server.remove();
  }
}

/** Ids are remembered for a time that does not pass faster. */
async function forgetSooner(connection: NatsConnection): Promise<void> {
  const { streams } = await connection.jetstreamManager();
  for await (const { config } of streams.list()) {
    await streams.update(config.name, { duplicate_window: Math.round(config.duplicate_window / times) });
  }
}

/** Every pod's runs, one after the other; pods begin at different moments. */
async function play(of: string, url: string): Promise<void> {
  const { openPublisher } = (await import(
    join(of, 'src/progress/index.ts')
  )) as typeof import('../src/progress/index.ts');
  const interval = betweenEvents / times;
  const events = Math.round((Math.min(minutes, runMinutes) * 60_000) / betweenEvents);
  const oneRun = async (pod: number, run: number) => {
    const publisher = openPublisher({ url, environment: {}, needsStream: true, attempt: 1, warn: () => {} });
    const uid = `00000000-0000-4000-8000-${String(pod * 1000 + run).padStart(12, '0')}`;
    const resource = {
      kind: 'OffsiteTune',
      metadata: { namespace: 'team', name: `words-${pod}-${run}`, uid },
    };
    let due = performance.now();
    for (let i = 1; i <= events; i++) {
      publisher.publish(resource, {
        ...{ type: 'progress', stage: 'tune', progressPercentage: Math.floor((100 * i) / events) },
        ...{ estimatedRemainingSeconds: events - i, metrics: metricsAt(i) },
      });
      due += interval;
      await sleep(Math.max(0, due - performance.now()));
    }
    publisher.publish(resource, { type: 'result', stage: 'tune', result: result(uid) });
    const unsent = await publisher.close(60_000);
    if (unsent > 0) throw new Error(`${unsent} events were not sent`);
  };
  await Promise.all(
    Array.from({ length: pods }, async (_, pod) => {
      await sleep((interval * pod) / pods);
      for (let run = 0; run < runs; run++) await oneRun(pod, run);
    }),
  );
}

function metricsAt(step: number) {
  return [
    { name: 'loss', value: (3 / (1 + step / 100)).toFixed(4) },
    { name: 'validationLoss', value: (3.1 / (1 + step / 100)).toFixed(4) },
  ];
}

/** About as much as a tune says. */
function result(uid: string) {
  return {
    artifact: { uri: `pvc://artifacts/${uid}`, digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 123_456_789 },
    training: {
      ...{ steps: 1200, tokens: 1_234_567, firstLoss: '3.0000', lastLoss: '0.2300' },
      ...{ validationLoss: '0.2400', tokensPerSecond: '1234.5', resumes: 0 },
    },
  };
}

function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => lines.push(...text.trim().split('\n')));
  return lines;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(50);
}

function print({
  before: earlier,
  now,
}: {
  before?: Awaited<ReturnType<typeof hour>>;
  now: Awaited<ReturnType<typeof hour>>;
}) {
  console.log(`${pods} pods, ${minutes} minutes played ${times} times faster, runs of ${runMinutes} minutes`);
  for (const name of Object.keys(now) as (keyof typeof now)[]) {
    const columns = [earlier?.[name], now[name]].map((value) =>
      value === undefined ? '' : Math.round(value).toString(),
    );
    console.log(`${name.padEnd(24)}${columns.map((column) => column.padStart(14)).join('')}`);
  }
}
