/** What NATS keeps, and for how long: bounds, a store that is full, consumers that somebody changed, streams of before. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AckPolicy,
  type ConsumerConfig,
  connect,
  credsAuthenticator,
  DeliverPolicy,
  DiscardPolicy,
  type NatsConnection,
  nanos,
} from 'nats';
import { afterEach, expect, test, vi } from 'vitest';
import { Reports, type ReportsOptions, RunCredentials } from '../../operator/progress/index.ts';
import { consumeEvents, openPublisher, type StageEvent, watchEvents } from '../../src/progress/index.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

const durable = 'offsite-operator';
const patience = { timeout: 60_000, interval: 20 };
const runOf = (name: string) => ({
  kind: 'OffsiteTune',
  metadata: { name, namespace: 'data', uid: `u-${name}` },
});
const subjectOf = (name: string, event: string) => `offsite.v1.data.OffsiteTune.${name}.u-${name}.${event}`;
const progress = (progressPercentage: number): StageEvent => ({
  type: 'progress',
  stage: 'tune',
  progressPercentage,
  metrics: [],
});
const result = (digest: string): StageEvent => ({ type: 'result', stage: 'tune', result: { digest } });

async function serve(megabytes: number, more = ''): Promise<{ server: NatsServer; admin: NatsConnection }> {
  const limits = `max_memory_store: 0, max_file_store: ${megabytes}MB`;
  const server = await NatsServer.start({ limits, more });
  cleanUp.push(() => server.remove());
  if (more !== '') return { server, admin: undefined as never };
  const admin = await connect({ servers: server.url });
  cleanUp.push(() => admin.close());
  return { server, admin };
}

function listenTo(server: NatsServer, options: Partial<ReportsOptions> = {}) {
  const abort = new AbortController();
  const failures: string[] = [];
  const reports = new Reports({
    ...{ url: server.url, environment: {}, ...options },
    failed: (code) => failures.push(code),
  });
  let news = 0;
  reports.onReport(() => {
    news += 1;
  });
  const done = reports.start(abort.signal);
  const stop = async () => {
    abort.abort();
    await done;
  };
  cleanUp.push(stop);
  return { reports, failures, stop, news: () => news };
}

async function publish(server: NatsServer, name: string, events: StageEvent[], credentialsText?: string) {
  const warnings: StageEvent[] = [];
  const publisher = openPublisher({
    ...{ url: server.url, environment: {}, needsStream: true, credentialsText },
    warn: (warning) => warnings.push(warning),
  });
  for (const event of events) publisher.publish(runOf(name), event);
  return { unsent: await publisher.close(30_000), warnings };
}

/** As the release before made it. */
const streamBefore = {
  ...{ name: 'OFFSITE', subjects: ['offsite.v1.>'], max_msgs_per_subject: 1000 },
  ...{ max_age: nanos(7 * 24 * 3600_000), duplicate_window: nanos(3600_000) },
};
/** As every release makes it: during an upgrade both use it. */
const consumerBefore = {
  ...{ durable_name: durable, filter_subject: 'offsite.v1.>', ack_policy: AckPolicy.Explicit },
  ...{ ack_wait: nanos(30_000), max_ack_pending: 1000 },
};

/** Publishes until the server takes no more. @returns how often */
async function fill(admin: NatsConnection, most: number): Promise<number> {
  for (let i = 0; i < most; i++) {
    try {
      await admin.jetstream().publish(subjectOf(`full-${i % 40}`, 'progress'), 'x'.repeat(100_000));
    } catch {
      return i;
    }
  }
  return most;
}

test('a store that a release before filled takes events again, and a result of then is not lost', async () => {
  const { server, admin } = await serve(24);
  const { streams, consumers } = await admin.jetstreamManager();
  await streams.add(streamBefore);
  await consumers.add('OFFSITE', consumerBefore);
  expect(await publish(server, 'early', [progress(50), result('sha256:early')])).toEqual({
    unsent: 0,
    warnings: [],
  });
  expect(await fill(admin, 1000)).toBeLessThan(1000);
  const late = publish(server, 'late', [result('sha256:late')]);
  const { reports } = listenTo(server);
  expect((await late).unsent).toBe(0);
  await vi.waitFor(() => {
    expect(reports.resultOf('u-late', 'tune')).toEqual({ digest: 'sha256:late' });
    expect(reports.resultOf('u-early', 'tune')).toEqual({ digest: 'sha256:early' });
    expect(reports.connected).toBe(true);
    expect(reports.store).toMatchObject({ accepts: true });
  }, patience);
  // What is left of the server's room is halved until it is enough.
  const [first, second] = [await streams.info('OFFSITE'), await streams.info('OFFSITE_RESULTS')];
  expect(first.config).toMatchObject({
    ...{ max_bytes: 16 * 2 ** 20, max_msg_size: 2 ** 20, max_msgs_per_subject: 100 },
    ...{ duplicate_window: nanos(100), subjects: ['offsite.v1.>'], discard: 'old' },
  });
  expect(second.config.max_bytes).toBe(8 * 2 ** 20);
  expect((await consumers.info('OFFSITE', durable)).config).toMatchObject(consumerBefore);
  expect(await fill(admin, 400)).toBe(400);
});

test('that it keeps nothing is told, once', async () => {
  const { server, admin } = await serve(24);
  const before = listenTo(server);
  await vi.waitFor(() => expect(before.reports.store?.accepts).toBe(true), patience);
  await before.stop();
  const { streams } = await admin.jetstreamManager();
  await streams.update('OFFSITE', { discard: DiscardPolicy.New, max_msgs: 1 });
  await publish(server, 'last', [progress(50)]);
  let told = 0;
  const { reports } = listenTo(server, {
    refused: () => {
      told += 1;
    },
  });
  await vi.waitFor(() => expect(reports.store?.accepts).toBe(false), patience);
  expect(told).toBe(1);
});

test('progress never drives out a result: an operator that was away finds it', async () => {
  const { server, admin } = await serve(24);
  const before = listenTo(server);
  await vi.waitFor(() => expect(before.reports.connected).toBe(true), patience);
  await before.stop();
  await publish(server, 'quiet', [result('sha256:kept')]);
  const { streams } = await admin.jetstreamManager();
  await vi.waitFor(
    async () => expect((await streams.info('OFFSITE_RESULTS')).state.messages).toBe(1),
    patience,
  );
  expect(await fill(admin, 400)).toBe(400);
  await expect(streams.getMessage('OFFSITE', { last_by_subj: subjectOf('quiet', 'result') })).rejects.toThrow(
    'no message found',
  );
  const { reports } = listenTo(server);
  await vi.waitFor(
    () => expect(reports.resultOf('u-quiet', 'tune')).toEqual({ digest: 'sha256:kept' }),
    patience,
  );
});

test('settings that an administrator chose stay as they are', async () => {
  const { server, admin } = await serve(64);
  const { streams } = await admin.jetstreamManager();
  await streams.add({ ...streamBefore, max_bytes: 20_000_000, max_msgs_per_subject: 7 });
  const { reports } = listenTo(server);
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  expect((await streams.info('OFFSITE')).config).toMatchObject({
    ...{ max_bytes: 20_000_000, max_msgs_per_subject: 7 },
    ...{ max_msg_size: 2 ** 20, duplicate_window: nanos(100) },
  });
});

test('the stream removed by hand: it is made again, and results are copied again', async () => {
  const { server, admin } = await serve(64);
  const { reports } = listenTo(server);
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  await publish(server, 'one', [result('sha256:1')]);
  const { streams } = await admin.jetstreamManager();
  const copies = async () => (await streams.info('OFFSITE_RESULTS')).state.messages;
  await vi.waitFor(async () => expect(await copies()).toBe(1), patience);
  await streams.delete('OFFSITE');
  await publish(server, 'two', [result('sha256:2')]);
  await vi.waitFor(async () => {
    expect(reports.resultOf('u-two', 'tune')).toEqual({ digest: 'sha256:2' });
    expect(
      (await streams.getMessage('OFFSITE_RESULTS', { last_by_subj: subjectOf('two', 'result') })).seq,
    ).toBe(1);
  }, patience);
});

const changed: [string, Partial<ConsumerConfig>][] = [
  ['another patience', { ack_wait: nanos(5000) }],
  ['another filter', { filter_subject: subjectOf('other', 'result') }],
  [
    'acknowledgements that cannot be changed',
    { ack_policy: AckPolicy.None, deliver_policy: DeliverPolicy.New },
  ],
  ['a subject that it pushes to', { deliver_subject: 'somewhere', max_ack_pending: 3 }],
];
test.each(changed)('a consumer with %s is put right and followed', async (_, changes) => {
  const { server, admin } = await serve(64);
  const { streams, consumers } = await admin.jetstreamManager();
  await streams.add(streamBefore);
  const { ack_wait, max_ack_pending, ...rest } = consumerBefore;
  const kept = changes.ack_policy === AckPolicy.None ? rest : { ack_wait, max_ack_pending, ...rest };
  await consumers.add('OFFSITE', { ...kept, ...changes });
  const { reports, failures } = listenTo(server);
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  await publish(server, 'words', [progress(40)]);
  await vi.waitFor(() => expect(reports.progressOf('u-words')?.progressPercentage).toBe(40), patience);
  expect((await consumers.info('OFFSITE', durable)).config).toMatchObject(consumerBefore);
  expect(failures).toEqual([]);
});

test('where it cannot follow, it does not say that it hears, and does not read everything again and again', async () => {
  const { server } = await serve(
    64,
    `authorization { users: [
      { user: pod, password: p }
      { user: operator, password: p, permissions: { publish: {
        allow: [">"], deny: ["$JS.API.CONSUMER.CREATE.OFFSITE.offsite-operator.>"] } } } ] }`,
  );
  const as = (user: string) => ({ url: server.url.replace('//', `//${user}:p@`) });
  const publisher = openPublisher({ ...as('pod'), environment: {}, warn: () => {} });
  publisher.publish(runOf('words'), progress(40));
  expect(await publisher.close(30_000)).toBe(0);
  const { reports, failures, news } = listenTo(server, as('operator'));
  await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(2), patience);
  expect([reports.connected, news()]).toEqual([false, 1]);
});

test('a message that whoever hears it breaks on is left behind, and the next is heard', async () => {
  const { server } = await serve(64);
  const abort = new AbortController();
  const failures: string[] = [];
  const heard: string[] = [];
  const done = consumeEvents(
    {
      ...{ url: server.url, environment: {}, durable, signal: abort.signal },
      connected: () => {},
      failed: (code) => failures.push(code),
    },
    ({ message: { name } }) => {
      if (name === 'bad') throw new RangeError('Maximum call stack size exceeded');
      heard.push(name);
    },
  );
  cleanUp.push(async () => {
    abort.abort();
    await done;
  });
  await publish(server, 'bad', [result('sha256:1')]);
  await publish(server, 'good', [result('sha256:2')]);
  await vi.waitFor(() => expect(heard).toContain('good'), patience);
  expect(failures).toContain('EVENT_NOT_TAKEN');
});

test('a connection that breaks is told of once, and again when it breaks again', async () => {
  const { server } = await serve(64);
  const { reports, failures } = listenTo(server);
  const broken = () => failures.filter((code) => code === 'DISCONNECTED').length;
  for (const times of [1, 2]) {
    await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
    await server.kill();
    await vi.waitFor(() => expect(broken()).toBe(times), patience);
    await server.restart();
  }
});

test('who may no longer take a result leaves it to who may', async () => {
  const { server } = await serve(64);
  let leads = true;
  const stale = listenTo(server, { mayTake: () => leads });
  await vi.waitFor(() => expect(stale.reports.connected).toBe(true), patience);
  leads = false;
  const next = listenTo(server);
  await vi.waitFor(() => expect(next.reports.connected).toBe(true), patience);
  for (let i = 0; i < 20; i++) await publish(server, `n${i}`, [result(`sha256:${i}`)]);
  await vi.waitFor(() => {
    for (let i = 0; i < 20; i++)
      expect(next.reports.resultOf(`u-n${i}`, 'tune')).toEqual({ digest: `sha256:${i}` });
  }, patience);
  for (let i = 0; i < 20; i++) expect(stale.reports.resultOf(`u-n${i}`, 'tune')).toBeUndefined();
});

test('one run cannot fill the store: what is too large is not sent, and the next event is', async () => {
  let values: Record<string, string> | undefined;
  const credentials = new RunCredentials({
    store: {
      get: async () => values,
      create: async (made) => {
        values = made;
        return true;
      },
    },
  });
  await credentials.ensure();
  const { server } = await serve(64, values?.['auth.conf']);
  const { reports } = listenTo(server, { credentialsText: credentials.operator });
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  const run = { namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-words' };
  const creds = await credentials.issue(run);
  const huge: StageEvent = { type: 'result', stage: 'tune', result: 'x'.repeat(300_000) };
  const { unsent, warnings } = await publish(server, 'words', [huge, progress(60)], creds);
  expect(unsent).toBe(0);
  expect(warnings.at(-1)).toMatchObject({
    reason: 'EventNotSent',
    message: expect.stringMatching(
      /^a result event was not sent: 300\d{3} bytes are more than NATS takes of this run$/,
    ),
  });
  await vi.waitFor(() => expect(reports.progressOf('u-words')?.progressPercentage).toBe(60), patience);
  const connection = await connect({
    ...{ servers: server.url, inboxPrefix: '_INBOX_u-words', maxReconnectAttempts: 0 },
    authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
  });
  cleanUp.push(() => connection.close());
  // The account's limit comes behind the greeting's.
  await vi.waitFor(() => expect(connection.info?.max_payload).toBe(256 * 1024), patience);
});

test('without a limit of its own, a run is held by that of the stream', async () => {
  const { server, admin } = await serve(64);
  const { reports } = listenTo(server);
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  const { streams } = await admin.jetstreamManager();
  await streams.update('OFFSITE', { max_msg_size: 2000 });
  const huge: StageEvent = { type: 'warning', reason: 'Test', message: 'x'.repeat(3000) };
  const { unsent, warnings } = await publish(server, 'words', [huge, progress(60)]);
  expect([unsent, warnings.map((warning) => 'reason' in warning && warning.reason)]).toEqual([
    0,
    ['EventNotSent'],
  ]);
});

test('`offsite run` on a store that is full waits for room, and loses nothing', async () => {
  const { server, admin } = await serve(8);
  const { streams } = await admin.jetstreamManager();
  await streams.add(streamBefore);
  await fill(admin, 1000);
  const publisher = openPublisher({ url: server.url, environment: {}, warn: () => {} });
  cleanUp.push(() => publisher.close(0));
  publisher.publish(runOf('words'), result('sha256:1'));
  await sleep(500);
  await streams.purge('OFFSITE');
  expect(await publisher.close(30_000)).toBe(0);
  expect((await streams.info('OFFSITE')).state.messages).toBe(1);
});

test('what was stored twice, long after its id was forgotten, is told once', async () => {
  const { server, admin } = await serve(64);
  const { reports, news } = listenTo(server);
  await vi.waitFor(() => expect(reports.connected).toBe(true), patience);
  const told: StageEvent = { type: 'warning', reason: 'Test', message: 'once' };
  await publish(server, 'words', [told, result('sha256:1')]);
  const { streams } = await admin.jetstreamManager();
  for (const event of ['warning', 'result'])
    await admin
      .jetstream()
      .publish(
        subjectOf('words', event),
        (await streams.getMessage('OFFSITE', { last_by_subj: subjectOf('words', event) })).data,
      );
  await publish(server, 'words', [progress(100)]);
  await vi.waitFor(() => expect(reports.progressOf('u-words')).toBeDefined(), patience);
  expect(reports.warningsOf('u-words')).toHaveLength(1);
  expect(news()).toBeGreaterThanOrEqual(3);
  const seen: string[] = [];
  const signal = AbortSignal.timeout(60_000);
  for await (const { event } of watchEvents(server.url, {}, { environment: {}, from: 'all', signal })) {
    seen.push(event.type);
    if (event.type === 'progress') break;
  }
  expect(seen).toEqual(['warning', 'result', 'progress']);
});

test('who stops the moment that it hears has stopped', async () => {
  const { server } = await serve(64);
  for (let i = 0; i < 5; i++) {
    const abort = new AbortController();
    const ended = consumeEvents(
      {
        ...{ url: server.url, environment: {}, durable, signal: abort.signal },
        connected: (hears) => {
          if (hears) abort.abort();
        },
      },
      () => {},
    );
    expect(await Promise.race([ended.then(() => 'ended'), sleep(patience.timeout, 'hangs')])).toBe('ended');
  }
});
