import { execFile, execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect, headers, nanos } from 'nats';
import { afterEach, expect, test, vi } from 'vitest';
import {
  type EventMessage,
  openPublisher,
  type PublisherOptions,
  type StageEvent,
  type WatchOptions,
  watchEvents,
} from '../../src/progress/index.ts';
import { freePort } from '../support/cluster/ports.ts';
import { everyLie, lyingNats } from '../support/servers/lying-nats.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

const words = { kind: 'OffsiteTune', metadata: { name: 'words', namespace: 'data', uid: 'u-1' } };
const cleanUp: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});

async function serve(options: Parameters<typeof NatsServer.start>[0] = {}): Promise<NatsServer> {
  const server = await NatsServer.start(options);
  cleanUp.push(() => server.remove());
  return server;
}

function publisherTo(url: string, options: Partial<PublisherOptions> = {}) {
  const warnings: StageEvent[] = [];
  const publisher = openPublisher({
    url,
    environment: {},
    warn: (warning) => warnings.push(warning),
    ...options,
  });
  cleanUp.push(() => publisher.close(0));
  return { publisher, warnings };
}

/** Watches in the background until `enough` says so, or a minute has passed. */
async function watched(
  url: string,
  enough: (messages: EventMessage[]) => boolean,
  options: Partial<WatchOptions> = {},
): Promise<EventMessage[]> {
  const messages: EventMessage[] = [];
  const signal = AbortSignal.timeout(60_000);
  for await (const message of watchEvents(url, {}, { environment: {}, from: 'all', ...options, signal })) {
    messages.push(message);
    if (enough(messages)) break;
  }
  return messages;
}

const progress = (progressPercentage: number): StageEvent => ({
  type: 'progress',
  stage: 'tune',
  progressPercentage,
  metrics: [{ name: 'loss', value: '1.25' }],
});
const warning = (message: string): StageEvent => ({ type: 'warning', reason: 'Test', message });
const result = (stage: string): StageEvent => ({
  type: 'result',
  stage,
  result: { digest: `sha256:${stage}` },
});

/** A server whose disk stalls for seconds takes an event late, and that is told. */
const notLate = (warning: StageEvent) => warning.type !== 'warning' || !warning.message.includes('(TIMEOUT)');

const sequences = (messages: EventMessage[]) => messages.map(({ sequence }) => sequence);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const hasResult = (messages: EventMessage[]) => messages.some(({ event }) => event.type === 'result');

test('events come out as they went in, with their resource, in order', async () => {
  const server = await serve();
  const { publisher, warnings } = publisherTo(server.url);
  publisher.publish(words, progress(50));
  publisher.publish(words, warning('one'));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(30_000)).toBe(0);

  const messages = await watched(server.url, hasResult);
  expect(messages.map(({ event }) => event)).toEqual([progress(50), warning('one'), result('tune')]);
  expect(sequences(messages)).toEqual([1, 2, 3]);
  expect(messages[0]).toMatchObject({ namespace: 'data', kind: 'OffsiteTune', name: 'words', uid: 'u-1' });
  expect(warnings.filter(notLate)).toEqual([]);
});

test('a server killed in the middle and restarted on its store: nothing is lost, nothing comes twice', async () => {
  const server = await serve();
  const { publisher, warnings } = publisherTo(server.url);
  const live = watched(server.url, hasResult);
  let outage: Promise<void> | undefined;
  for (let step = 0; step < 150; step++) {
    publisher.publish(words, progress(Math.floor(step / 1.5)));
    if (step % 10 === 0) publisher.publish(words, warning(`step ${step}`));
    if (step === 50) outage = server.kill();
    if (step === 100) {
      await outage;
      await server.restart();
    }
    await sleep(10);
  }
  publisher.publish(words, progress(100));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(20_000)).toBe(0);

  for (const messages of [await watched(server.url, hasResult), await live]) {
    expect(sequences(messages)).toEqual(upTo(messages.length));
    const told = messages.flatMap(({ event }) => (event.type === 'warning' ? [event.message] : []));
    expect(told).toEqual(Array.from({ length: 15 }, (_, i) => `step ${10 * i}`));
    const percentages = messages.flatMap(({ event }) =>
      event.type === 'progress' ? [event.progressPercentage] : [],
    );
    expect(percentages).toEqual(percentages.toSorted((a, b) => a - b));
    expect(percentages.at(-1)).toBe(100);
    expect(messages.at(-1)?.event).toEqual(result('tune'));
  }
  expect(warnings).toHaveLength(1);
});

test('a server that comes back without its store: the run makes the stream again, and who watched hears what comes', async () => {
  const server = await serve();
  const { publisher } = publisherTo(server.url);
  for (let i = 1; i <= 20; i++) publisher.publish(words, warning(`before ${i}`));
  const heard: EventMessage[] = [];
  const watching = watched(
    server.url,
    (messages) => {
      heard.splice(0, heard.length, ...messages);
      return hasResult(messages);
    },
    { from: 'all' },
  );
  await vi.waitFor(() => expect(heard).toHaveLength(20), 60_000);
  await server.kill();
  server.empty();
  await server.restart();
  publisher.publish(words, warning('after'));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(30_000)).toBe(0);
  expect(sequences(await watching)).toEqual(upTo(22));
});

test('a stream that was made anew and has more than the one before is heard from its beginning', async () => {
  const server = await serve();
  const { publisher } = publisherTo(server.url);
  publisher.publish(words, warning('before'));
  const heard: EventMessage[] = [];
  const watching = watched(
    server.url,
    (messages) => {
      heard.splice(0, heard.length, ...messages);
      return hasResult(messages);
    },
    { from: 'all' },
  );
  await vi.waitFor(() => expect(heard).toHaveLength(1), 60_000);
  const connection = await connect({ servers: server.url });
  cleanUp.push(() => connection.close());
  const { streams } = await connection.jetstreamManager();
  const { config } = await streams.info('OFFSITE');
  await streams.delete('OFFSITE');
  await streams.add(config);
  for (let i = 1; i <= 5; i++) publisher.publish(words, warning(`after ${i}`));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(30_000)).toBe(0);
  expect(sequences(await watching)).toEqual(upTo(7));
});

test('a server that comes up late gets everything that waited', async () => {
  const port = await freePort();
  const { publisher, warnings } = publisherTo(`nats://127.0.0.1:${port}`);
  for (let percent = 0; percent <= 100; percent++) publisher.publish(words, progress(percent));
  publisher.publish(words, warning('early'));
  publisher.publish(words, result('tune'));
  await sleep(300);
  const server = await serve({ port });
  expect(await publisher.close(20_000)).toBe(0);
  const messages = await watched(server.url, hasResult);
  expect(messages.map(({ event }) => event)).toEqual([progress(100), warning('early'), result('tune')]);
  expect(warnings).toHaveLength(1);
});

test('never connected: publishing does not block, one warning, closing keeps to its limit, the process ends', async () => {
  const url = `nats://127.0.0.1:${await freePort()}`;
  const { publisher, warnings } = publisherTo(url);
  const start = performance.now();
  for (let i = 0; i < 10_000; i++) publisher.publish(words, progress(i % 100));
  publisher.publish(words, result('tune'));
  expect(performance.now() - start).toBeLessThan(10_000);
  await vi.waitFor(() => expect(warnings).toHaveLength(1), 60_000);
  await sleep(1200);
  const closing = performance.now();
  expect(await publisher.close(300)).toBe(2);
  expect(performance.now() - closing).toBeLessThan(10_000);
  expect(warnings).toMatchObject([{ reason: 'NatsUnavailable' }]);

  const module = new URL('../../src/progress/index.ts', import.meta.url).href;
  const script = `import { openPublisher } from ${JSON.stringify(module)};
    const publisher = openPublisher({ url: ${JSON.stringify(url)} });
    publisher.publish(${JSON.stringify(words)}, { type: 'warning', reason: 'a', message: 'b' });
    console.log(await publisher.close(100));`;
  const out = execFileSync('node', ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect(out.trim()).toBe('1');
});

test.each(everyLie)('%s holds nobody: all else goes on, and the process ends', async (lie) => {
  const { url, close } = await lyingNats(lie);
  cleanUp.push(async () => close());
  const module = new URL('../../src/progress/index.ts', import.meta.url).href;
  const script = `import { openPublisher } from ${JSON.stringify(module)};
    const publisher = openPublisher({ url: ${JSON.stringify(url)} });
    publisher.publish(${JSON.stringify(words)}, { type: 'warning', reason: 'a', message: 'b' });
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setTimeout(resolve, 20));
    console.log(await publisher.close(100));`;
  const running = promisify(execFile)('node', ['--input-type=module', '-e', script], { timeout: 60_000 });
  const { stdout, stderr } = await running;
  expect(stdout.trim()).toBe('1');
  expect(stderr.match(/^warning: NatsUnavailable/gm)).toHaveLength(1);
});

test('duplicates and disorder on the wire are put right by the watcher', async () => {
  const server = await serve();
  const connection = await connect({ servers: server.url });
  cleanUp.push(() => connection.close());
  const { publisher } = publisherTo(server.url);
  publisher.publish(words, progress(1));
  await publisher.close(30_000);
  const first = (await watched(server.url, (messages) => messages.length === 1))[0] as EventMessage;

  const resource = 'offsite.v1.data.OffsiteTune.words.u-1';
  const subject = `${resource}.warning`;
  for (const sequence of [1, 2, 4, 3, 3, 2, 6, 5]) {
    const message = { ...first, sequence, event: warning(`number ${sequence}`) };
    await connection.jetstream().publish(subject, JSON.stringify(message));
  }
  await connection.jetstream().publish(subject, 'no message of ours');
  const end = { ...first, event: result('tune') };
  // Under another event's subject, or about another resource, it is nobody's.
  await connection.jetstream().publish(subject, JSON.stringify({ ...end, sequence: 7 }));
  await connection
    .jetstream()
    .publish(`${resource}.result`, JSON.stringify({ ...end, sequence: 7, uid: 'u-2' }));
  await connection.jetstream().publish(`${resource}.result`, JSON.stringify({ ...end, sequence: 7 }));
  const messages = await watched(server.url, hasResult, { patienceMilliseconds: 30_000 });
  expect(sequences(messages)).toEqual(upTo(7));
});

test('a stream that remembers ids for longer keeps an event once that was sent twice', async () => {
  const server = await serve();
  const first = publisherTo(server.url);
  first.publisher.publish(words, progress(1));
  await first.publisher.close(30_000);
  const connection = await connect({ servers: server.url });
  cleanUp.push(() => connection.close());
  const { streams } = await connection.jetstreamManager();
  await streams.update('OFFSITE', { duplicate_window: nanos(120_000) });
  const second = publisherTo(server.url);
  second.publisher.publish(words, progress(2));
  await second.publisher.close(30_000);
  const stored = await streams.getMessage('OFFSITE', { seq: 2 });
  const id = headers();
  id.set('Nats-Msg-Id', stored.header.get('Nats-Msg-Id'));
  const again = await connection.jetstream().publish(stored.subject, stored.data, { headers: id });
  expect(again.duplicate).toBe(true);
  expect((await streams.info('OFFSITE')).state.messages).toBe(2);
});

test('what expired leaves a gap, and the watcher goes on behind it', async () => {
  const server = await serve();
  const { publisher } = publisherTo(server.url);
  publisher.publish(words, progress(10));
  publisher.publish(words, warning('kept'));
  publisher.publish(words, result('tune'));
  await publisher.close(30_000);
  const connection = await connect({ servers: server.url });
  cleanUp.push(() => connection.close());
  const { streams } = await connection.jetstreamManager();
  await streams.deleteMessage('OFFSITE', 1);
  expect(sequences(await watched(server.url, (messages) => messages.length === 2))).toEqual([2, 3]);
});

test('a server without JetStream: who listens hears it', async () => {
  const server = await serve({ jetstream: false });
  const door = { ...words, metadata: { ...words.metadata, name: 'door' } };
  let listening = false;
  const isResult = (messages: EventMessage[]) => {
    listening = true;
    return hasResult(messages);
  };
  const heard = watched(server.url, isResult, { from: 'new' });
  // Nobody keeps what was sent before the watcher listens: somebody knocks until it does.
  const { publisher: knocking } = publisherTo(server.url);
  await vi.waitFor(() => {
    knocking.publish(door, progress(0));
    expect(listening).toBe(true);
  }, 60_000);
  await knocking.close();
  const { publisher, warnings } = publisherTo(server.url);
  publisher.publish(words, progress(10));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(30_000)).toBe(0);
  const told = (await heard).filter(({ name }) => name === 'words').map(({ event }) => event);
  expect(told).toEqual([progress(10), result('tune')]);
  expect(warnings.filter(notLate)).toEqual([]);
});

test('a user who may only publish: the stream that an administrator made takes the events', async () => {
  const server = await serve({
    more: `authorization { users: [
      { user: admin, password: "s3cret-a" }
      { user: pod, password: "s3cret-p", permissions: { publish: ["offsite.>"], subscribe: ["_INBOX.>"] } } ] }`,
  });
  const admin = server.url.replace('//', '//admin:s3cret-a@');
  const pod = server.url.replace('//', '//pod:s3cret-p@');
  const first = publisherTo(admin);
  first.publisher.publish(words, warning('by the administrator'));
  expect(await first.publisher.close(30_000)).toBe(0);
  const second = publisherTo(pod);
  second.publisher.publish(words, result('tune'));
  expect(await second.publisher.close(30_000)).toBe(0);
  const messages = await watched(admin, hasResult);
  expect(messages.map(({ event }) => event.type)).toEqual(['warning', 'result']);
});

test('a wrong password: a warning without the password, and the run goes on', async () => {
  const server = await serve({ more: 'authorization { user: pod, password: "right-one" }' });
  const { publisher, warnings } = publisherTo(server.url.replace('//', '//pod:hush-hush@'));
  publisher.publish(words, result('tune'));
  await vi.waitFor(() => expect(warnings).toHaveLength(1), 60_000);
  expect(await publisher.close(200)).toBe(1);
  expect(warnings).toHaveLength(1);
  expect(JSON.stringify(warnings)).toContain('AUTHORIZATION_VIOLATION');
  expect(JSON.stringify(warnings)).not.toContain('hush-hush');

  const environment = { NATS_USER: 'pod', NATS_PASSWORD: 'right-one' };
  const other = publisherTo(server.url, { environment });
  other.publisher.publish(words, result('tune'));
  expect(await other.publisher.close(30_000)).toBe(0);
});

test('an event that no server takes is told of, and the next ones go on', async () => {
  const server = await serve();
  const { publisher, warnings } = publisherTo(server.url);
  publisher.publish(words, { type: 'result', stage: 'huge', result: 'x'.repeat(2_000_000) });
  publisher.publish({ ...words, metadata: { name: 'a.b' } }, progress(1));
  publisher.publish(words, result('tune'));
  expect(await publisher.close(30_000)).toBe(0);
  expect(sequences(await watched(server.url, hasResult))).toEqual([1]);
  expect(warnings).toMatchObject([{ reason: 'EventNotSent' }, { reason: 'EventNotSent' }]);
});
