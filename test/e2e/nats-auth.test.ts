import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, credsAuthenticator, type NatsConnection } from 'nats';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Reports, RunCredentials } from '../../operator/progress/index.ts';
import { type EventMessage, openPublisher, type StageEvent, watchEvents } from '../../src/progress/index.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

/** The Secret, in memory. */
class MemoryStore {
  values: Record<string, string> | undefined;

  async get() {
    return this.values;
  }

  async create(values: Record<string, string>) {
    if (this.values !== undefined) return false;
    this.values = values;
    return true;
  }
}

const words = { namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-1' };
const other = { namespace: 'data', kind: 'OffsiteTune', name: 'other', uid: 'u-2' };
const resourceOf = ({ kind, ...metadata }: typeof words) => ({ kind, metadata });
const progress = (progressPercentage: number): StageEvent => ({
  type: 'progress',
  stage: 'tune',
  progressPercentage,
  metrics: [],
});
const result = (digest: string): StageEvent => ({ type: 'result', stage: 'tune', result: { digest } });

let store: MemoryStore;
let credentials: RunCredentials;
let server: NatsServer;

beforeEach(async () => {
  store = new MemoryStore();
  credentials = new RunCredentials({ store });
  await credentials.ensure();
  // As the chart configures it.
  server = await NatsServer.start({
    limits: 'max_memory_store: 0, max_file_store: 1GB',
    more: store.values?.['auth.conf'] ?? '',
  });
  cleanUp.push(() => server.remove());
});

function listening(): Reports {
  const abort = new AbortController();
  const reports = new Reports({ url: server.url, credentialsText: credentials.operator, environment: {} });
  const done = reports.start(abort.signal);
  cleanUp.push(async () => {
    abort.abort();
    await done;
  });
  return reports;
}

async function publish(
  run: typeof words,
  creds: string,
  events: StageEvent[],
  limit = 60_000,
): Promise<number> {
  const publisher = openPublisher({
    url: server.url,
    credentialsText: creds,
    environment: {},
    needsStream: true,
    warn: () => {},
  });
  for (const event of events) publisher.publish(resourceOf(run), event);
  return await publisher.close(limit);
}

async function until(holds: () => boolean, milliseconds = 60_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!holds()) {
    if (performance.now() > end) throw new Error('it did not come to hold in time');
    await sleep(20);
  }
}

async function connected(creds: string, inboxPrefix?: string): Promise<NatsConnection> {
  const connection = await connect({
    servers: server.url,
    authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
    ...(inboxPrefix && { inboxPrefix }),
  });
  cleanUp.push(() => connection.close());
  return connection;
}

/** What the server answers with when something is not allowed. */
async function refusal(connection: NatsConnection, act: () => unknown): Promise<string> {
  const statuses = connection.status();
  act();
  await connection.flush();
  for await (const { type, data } of statuses) if (type === 'error') return String(data);
  return '';
}

test('keys are made once, by whoever is first; a Secret that lacks one is refused', async () => {
  const [one, two] = [new MemoryStore(), new MemoryStore()];
  two.get = () => one.get();
  two.create = (values) => one.create(values);
  const [a, b] = [new RunCredentials({ store: one }), new RunCredentials({ store: two })];
  await Promise.all([a.ensure(), b.ensure()]);
  expect(a.operator).toBe(b.operator);
  const before = one.values;
  await a.ensure();
  expect(one.values).toBe(before);
  expect([a.separatesRuns, a.separatesWatchers]).toEqual([true, true]);
  delete one.values?.['account.seed'];
  await expect(new RunCredentials({ store: one }).ensure()).rejects.toThrow(/lacks account.seed/);
});

test("a run's events reach the operator, and everybody who may watch", async () => {
  const reports = listening();
  const heard: string[] = [];
  reports.onReport(({ name }) => heard.push(name));
  expect(await publish(words, await credentials.issue(words), [progress(40), result('sha256:1')])).toBe(0);
  await until(() => reports.resultOf('u-1', 'tune') !== undefined);
  expect(reports.resultOf('u-1', 'tune')).toEqual({ digest: 'sha256:1' });
  expect(reports.progressOf('u-1')).toMatchObject({ stage: 'tune', progressPercentage: 40 });
  // Before it follows, it hears what was said last.
  await until(() => reports.connected);
  expect(new Set(heard)).toEqual(new Set(['words']));

  const messages: EventMessage[] = [];
  const watcher = { credentialsText: store.values?.['watcher.creds'], environment: {} };
  for await (const message of watchEvents(
    server.url,
    {},
    { ...watcher, signal: AbortSignal.timeout(60_000) },
  )) {
    messages.push(message);
    if (messages.length === 2) break;
  }
  expect(messages.map(({ event }) => event.type).sort()).toEqual(['progress', 'result']);
});

test("a run can publish only its own subjects, and hears nothing of others'", async () => {
  listening();
  const creds = await credentials.issue(words);
  expect(await publish(other, creds, [result('forged')], 2000)).toBe(1);
  const run = await connected(creds, '_INBOX_u-1');
  const denied: [string, () => unknown][] = [
    [
      'offsite.v1.data.OffsiteTune.other.u-2.result',
      () => run.publish('offsite.v1.data.OffsiteTune.other.u-2.result', '{}'),
    ],
    [
      'offsite.v1.data.OffsiteTune.words.u-1.more.and.more',
      () => run.publish('offsite.v1.data.OffsiteTune.words.u-1.more.and.more', '{}'),
    ],
    ['offsite.v1.>', () => run.subscribe('offsite.v1.>')],
    [
      'offsite.v1.data.OffsiteTune.words.u-1.>',
      () => run.subscribe('offsite.v1.data.OffsiteTune.words.u-1.>'),
    ],
    ['_INBOX.>', () => run.subscribe('_INBOX.>')],
    ['_INBOX_u-2.>', () => run.subscribe('_INBOX_u-2.>')],
    ['$JS.API.STREAM.DELETE.OFFSITE', () => run.publish('$JS.API.STREAM.DELETE.OFFSITE')],
    ['$JS.API.STREAM.MSG.GET.OFFSITE', () => run.publish('$JS.API.STREAM.MSG.GET.OFFSITE', '{"seq":1}')],
    ['$JS.API.CONSUMER.CREATE.OFFSITE', () => run.publish('$JS.API.CONSUMER.CREATE.OFFSITE', '{}')],
    [
      '$JS.ACK.OFFSITE.offsite-operator.1.1.1.1.1',
      () => run.publish('$JS.ACK.OFFSITE.offsite-operator.1.1.1.1.1'),
    ],
    ['$SYS.REQ.SERVER.PING', () => run.publish('$SYS.REQ.SERVER.PING')],
  ];
  for (const [subject, act] of denied)
    expect(await refusal(run, act), subject).toMatch(/PERMISSIONS_VIOLATION|Permissions Violation/i);
});

/** As servers before 2.12 are: they purge at a request of any body, an acknowledgement's too. */
const lenient = 'max_memory_store: 0, max_file_store: 1GB, strict: false';

test("a reply subject reaches no other run's subject and no API, and the sender still hears its acknowledgement", async () => {
  const loose = await NatsServer.start({ limits: lenient, more: store.values?.['auth.conf'] ?? '' });
  await server.remove();
  server = loose;
  const reports = listening();
  await until(() => reports.connected);
  expect(await publish(other, await credentials.issue(other), [result('sha256:real')])).toBe(0);
  const run = await connected(await credentials.issue(words), '_INBOX_u-1');
  const { streams } = await (await connected(credentials.operator)).jetstreamManager();
  const own = 'offsite.v1.data.OffsiteTune.words.u-1.progress';
  const victim = 'offsite.v1.data.OffsiteTune.other.u-2.result';
  const replies = [
    ...Array.from({ length: 120 }, () => victim),
    ...Array.from({ length: 200 }, (_, i) => `offsite.v1.e.E.e.u${i}.result`),
    'offsite.v1.data.OffsiteTune.words.u-1.result',
    'offsite.v1.e.E.e.u.$FI',
    '$JS.API.STREAM.PURGE.OFFSITE',
    '$JS.API.STREAM.PURGE.OFFSITE_RESULTS',
    '$JS.API.STREAM.DELETE.OFFSITE',
    '$JS.API.CONSUMER.DELETE.OFFSITE.offsite-operator',
  ];
  for (const reply of replies) run.publish(own, 'junk', { reply });
  // Acknowledged in order: what the first acknowledgements wrote was taken before the last of these is stored.
  const js = run.jetstream();
  for (let i = 0; i < 2; i++)
    expect(await js.publish(own, 'junk', { timeout: 30_000 })).toMatchObject({ stream: 'OFFSITE' });
  const { state } = await streams.info('OFFSITE', { subjects_filter: 'offsite.v1.*.*.*.*.*' });
  expect(state.subjects).toEqual({ [own]: 100, [victim]: 1 });
  await expect
    .poll(async () => (await streams.info('OFFSITE_RESULTS', { subjects_filter: '>' })).state.subjects, {
      timeout: 60_000,
    })
    .toEqual({ [victim]: 1 });
  // One that starts now knows nothing but what the streams kept.
  const next = listening();
  await until(() => next.resultOf('u-2', 'tune') !== undefined);
  expect(next.resultOf('u-2', 'tune')).toEqual({ digest: 'sha256:real' });
});

test('a watcher can change nothing and takes nothing from the operator', async () => {
  const reports = listening();
  await publish(words, await credentials.issue(words), [progress(1)]);
  await until(() => reports.progressOf('u-1') !== undefined);
  const watcher = await connected(store.values?.['watcher.creds'] ?? '', '_INBOX_watch');
  const denied = [
    'offsite.v1.data.OffsiteTune.words.u-1.result',
    '$JS.API.STREAM.DELETE.OFFSITE',
    '$JS.API.STREAM.PURGE.OFFSITE',
    '$JS.API.CONSUMER.DELETE.OFFSITE.offsite-operator',
    '$JS.API.CONSUMER.MSG.NEXT.OFFSITE.offsite-operator',
    '$JS.API.CONSUMER.CREATE.OFFSITE.offsite-operator.offsite.v1.>',
    '$JS.API.CONSUMER.CREATE.OFFSITE.own.offsite.v1.>',
    '$JS.API.CONSUMER.DURABLE.CREATE.OFFSITE.offsite-operator',
    '$JS.API.STREAM.INFO.OFFSITE',
    '$JS.offsite.API.STREAM.PURGE.OFFSITE',
    '$JS.offsite.API.CONSUMER.CREATE.OFFSITE.own.offsite.v1.>',
  ];
  for (const subject of denied)
    expect(await refusal(watcher, () => watcher.publish(subject, '{}')), subject).toMatch(
      /permissions.violation/i,
    );
  for (const subject of ['offsite.v1.>', '_INBOX.>', '>'])
    expect(await refusal(watcher, () => void watcher.subscribe(subject)), subject).toMatch(
      /permissions.violation/i,
    );
  // What it hears in waits in the server's memory.
  const many = () => {
    for (let i = 0; i < 8; i++) watcher.subscribe(`_INBOX_watch.${i}`);
  };
  expect(await refusal(watcher, many)).toMatch(/NATS_PROTOCOL_ERR|maximum subscriptions exceeded/i);
});

test("what a watcher names for the answers is no run's subject and no API", async () => {
  const loose = await NatsServer.start({ limits: lenient, more: store.values?.['auth.conf'] ?? '' });
  await server.remove();
  server = loose;
  const reports = listening();
  await until(() => reports.connected);
  const creds = await credentials.issue(words);
  expect(await publish(words, creds, [progress(5), result('sha256:1')])).toBe(0);
  const { streams, consumers } = await (await connected(credentials.operator)).jetstreamManager();
  const { last_seq } = (await streams.info('OFFSITE')).state;
  const watcher = await connected(store.values?.['watcher.creds'] ?? '', '_INBOX_watch');
  const replies = [
    ...Array.from({ length: 110 }, () => 'offsite.v1.data.OffsiteTune.words.u-1.result'),
    'offsite.v1.e.E.e.u.result',
    '$JS.API.STREAM.PURGE.OFFSITE',
    '$JS.API.STREAM.DELETE.OFFSITE',
    '$JS.API.CONSUMER.MSG.NEXT.OFFSITE.offsite-operator',
    '$JS.API.CONSUMER.DELETE.OFFSITE.offsite-operator',
    '$JS.offsite.API.STREAM.MSG.GET.OFFSITE',
    '$JS.offsite.API.STREAM.INFO.OFFSITE',
  ];
  for (const reply of replies)
    for (const [call, body] of [
      ['INFO', ''],
      ['MSG.GET', `{"seq":${last_seq}}`],
    ])
      watcher.publish(`$JS.offsite.API.STREAM.${call}.OFFSITE`, body, { reply });
  // Answered in order: what the answers before it wrote was taken.
  const seen = await watcher.request('$JS.offsite.API.STREAM.INFO.OFFSITE', '', { timeout: 30_000 });
  expect(seen.json()).toMatchObject({ state: { last_seq } });
  await sleep(500);
  expect((await streams.info('OFFSITE')).state).toMatchObject({ last_seq });
  expect(await consumers.info('OFFSITE', 'offsite-operator')).toMatchObject({ num_ack_pending: 0 });
  await publish(words, creds, [progress(9)]);
  await until(() => reports.progressOf('u-1')?.progressPercentage === 9);
  expect(await refusal(watcher, () => ack(watcher))).toMatch(/permissions.violation/i);
  const next = listening();
  await until(() => next.resultOf('u-1', 'tune') !== undefined);
  expect(next.resultOf('u-1', 'tune')).toEqual({ digest: 'sha256:1' });
});

/** The server passes this one reply subject on from account to account, and takes it of no client. */
const ack = (connection: NatsConnection) =>
  connection.publish('$JS.offsite.API.STREAM.INFO.OFFSITE', '', {
    reply: '$JS.ACK.OFFSITE.offsite-operator.1.1.1.1.1',
  });

test('a watcher hears what comes, of whom it asks for, and goes on when the server was away and the stream was lost', async () => {
  const heard: string[] = [];
  const abort = new AbortController();
  cleanUp.push(() => abort.abort());
  const watcher = { credentialsText: store.values?.['watcher.creds'], environment: {}, signal: abort.signal };
  const watching = (async () => {
    for await (const { event, name } of watchEvents(server.url, { name: 'words' }, watcher))
      heard.push(`${name} ${event.type === 'progress' ? event.progressPercentage : event.type}`);
  })();
  // Nothing is there yet, not even the stream.
  await sleep(1000);
  listening();
  const creds = await credentials.issue(words);
  const others = await credentials.issue(other);
  await publish(words, creds, [progress(1)]);
  await publish(other, others, [progress(2), result('sha256:2')]);
  await publish(words, creds, [progress(3)]);
  await until(() => heard.length === 2);
  await server.kill();
  await server.restart();
  await publish(words, creds, [progress(4)]);
  await until(() => heard.length === 3);
  await (await connected(credentials.operator))
    .jetstreamManager()
    .then(({ streams }) => streams.delete('OFFSITE'));
  await publish(words, creds, [progress(5), result('sha256:1')]);
  await until(() => heard.length === 5);
  expect(heard).toEqual(['words 1', 'words 3', 'words 4', 'words 5', 'words result']);
  abort.abort();
  await watching;
});

test('a watcher that comes late hears the last of each, or all', async () => {
  listening();
  const warnings = Array.from(
    { length: 70 },
    (_, i): StageEvent => ({ type: 'warning', reason: 'Test', message: `number ${i}` }),
  );
  await publish(words, await credentials.issue(words), [...warnings, result('sha256:1')]);
  const hear = async (from: 'all' | 'last', count: number) => {
    const told: string[] = [];
    const signal = AbortSignal.timeout(60_000);
    const watcher = { credentialsText: store.values?.['watcher.creds'], environment: {}, from, signal };
    for await (const { event } of watchEvents(server.url, {}, watcher)) {
      told.push(event.type === 'warning' ? event.message : event.type);
      if (told.length === count) break;
    }
    return told;
  };
  expect(await hear('last', 2)).toEqual(['number 69', 'result']);
  expect(await hear('all', 71)).toEqual([...warnings.map((_, i) => `number ${i}`), 'result']);
});

test('keys of an earlier release, without the account of watchers: they go on, and it is known', async () => {
  const kept = { ...store.values };
  delete kept['watchers.seed'];
  const former = new RunCredentials({ store: { get: async () => kept, create: async () => false } });
  await former.ensure();
  expect(former.separatesWatchers).toBe(false);
  delete kept['watcher.creds'];
  // As an administrator made it for another NATS: watchers there are his.
  expect(former.separatesWatchers).toBe(true);
});

test('forged, wrong and foreign messages change nothing', async () => {
  const reports = listening();
  await publish(words, await credentials.issue(words), [progress(10)]);
  await until(() => reports.progressOf('u-1') !== undefined);
  const admin = (await connected(credentials.operator)).jetstream();
  const subject = 'offsite.v1.data.OffsiteTune.words.u-1';
  const message = { publisher: 'p', sequence: 9, ...words, event: progress(99) };
  const wrong: [string, unknown][] = [
    [`${subject}.progress`, 'no JSON at all'],
    [`${subject}.progress`, { ...message, uid: 'u-2' }],
    [`${subject}.progress`, { ...message, name: 'other' }],
    [`${subject}.result`, message],
    [`${subject}.progress`, { ...message, event: progress(1000) }],
    [
      `${subject}.progress`,
      { ...message, event: { ...progress(50), metrics: [{ name: 'n', value: 'x'.repeat(100) }] } },
    ],
    [`${subject}.progress`, { ...message, event: { ...progress(50), stage: 'x'.repeat(65) } }],
    ['offsite.v1.data.OffsiteTune', message],
  ];
  for (const [at, body] of wrong) await admin.publish(at, JSON.stringify(body));
  await publish(other, await credentials.issue(other), [progress(3)]);
  await until(() => reports.progressOf('u-2') !== undefined);
  expect(reports.progressOf('u-1')).toMatchObject({ progressPercentage: 10 });
  expect(reports.progressOf('u-2')).toMatchObject({ progressPercentage: 3 });
});

test('an operator that comes again knows the last of everything, and what came while it was away', async () => {
  const abort = new AbortController();
  const first = new Reports({ url: server.url, credentialsText: credentials.operator, environment: {} });
  const running = first.start(abort.signal);
  const told: StageEvent = { type: 'warning', reason: 'Test', message: 'told already' };
  await publish(words, await credentials.issue(words), [progress(10), told, result('sha256:1')]);
  // The result may be heard among the last of each subject, where warnings are left out.
  await until(() => first.resultOf('u-1', 'tune') !== undefined && first.warningsOf('u-1').length === 1);
  abort.abort();
  await running;
  expect(first.connected).toBe(false);

  const warnings = Array.from(
    { length: 5 },
    (_, i): StageEvent => ({ type: 'warning', reason: 'Test', message: `number ${i}` }),
  );
  await publish(other, await credentials.issue(other), [...warnings, progress(70)]);
  const second = listening();
  await until(() => second.progressOf('u-2') !== undefined && second.warningsOf('u-2').length === 5);
  expect(second.resultOf('u-1', 'tune')).toEqual({ digest: 'sha256:1' });
  expect(second.progressOf('u-1')).toMatchObject({ progressPercentage: 10 });
  expect(second.warningsOf('u-1')).toEqual([]);
  expect(second.warningsOf('u-2').map(({ message }) => message)).toEqual(
    warnings.map((_, i) => `number ${i}`),
  );
});

test('NATS goes away and comes back: the operator says so, and misses nothing', async () => {
  const reports = listening();
  const creds = await credentials.issue(words);
  await publish(words, creds, [progress(10)]);
  await until(() => reports.progressOf('u-1') !== undefined);
  await server.kill();
  await until(() => !reports.connected);
  const publishing = publish(words, creds, [progress(60), result('sha256:2')]);
  await server.restart();
  expect(await publishing).toBe(0);
  await until(() => reports.resultOf('u-1', 'tune') !== undefined);
  expect(reports.connected).toBe(true);
  expect(reports.progressOf('u-1')).toMatchObject({ progressPercentage: 60 });
});

test('the stream gone with its store: it is made again, and events go on', async () => {
  const reports = listening();
  const creds = await credentials.issue(words);
  await publish(words, creds, [progress(10)]);
  await until(() => reports.progressOf('u-1') !== undefined);
  const manager = await (await connected(credentials.operator)).jetstreamManager();
  await manager.streams.delete('OFFSITE');
  expect(await publish(words, creds, [progress(20), result('sha256:3')])).toBe(0);
  await until(() => reports.resultOf('u-1', 'tune') !== undefined);
});

test('keys of an earlier release, without the account of pods: they and their runs go on, and it is known', async () => {
  const kept = { ...store.values };
  delete kept['pods.seed'];
  const former = new RunCredentials({ store: { get: async () => kept, create: async () => false } });
  await former.ensure();
  expect(former.separatesRuns).toBe(false);
  const reports = listening();
  expect(await publish(words, await former.issue(words), [result('sha256:former')])).toBe(0);
  // A run of before the new keys, beside one of after.
  expect(await publish(other, await credentials.issue(other), [result('sha256:new')])).toBe(0);
  await until(
    () => reports.resultOf('u-1', 'tune') !== undefined && reports.resultOf('u-2', 'tune') !== undefined,
  );
  expect(reports.resultOf('u-1', 'tune')).toEqual({ digest: 'sha256:former' });
});

test("the pod's own credentials file is used with the inbox that it allows", async () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-creds-'));
  cleanUp.push(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'nats.creds'), await credentials.issue(words));
  const reports = listening();
  const publisher = openPublisher({
    url: server.url,
    credentials: join(directory, 'nats.creds'),
    environment: {},
    needsStream: true,
    warn: () => {},
  });
  publisher.publish(resourceOf(words), result('sha256:4'));
  expect(await publisher.close(30_000)).toBe(0);
  await until(() => reports.resultOf('u-1', 'tune') !== undefined);
});
