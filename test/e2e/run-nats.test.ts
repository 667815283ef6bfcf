import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EventMessage, watchEvents } from '../../src/progress/index.ts';
import { freePort } from '../support/cluster/ports.ts';
import { offsite, savedStatus } from '../support/offsite/index.ts';
import { lyingNats } from '../support/servers/lying-nats.ts';
import { NatsServer } from '../support/servers/nats-server.ts';
import { writeTinyProject } from '../support/tiny/index.ts';

let directory: string;
let server: NatsServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-run-nats-'));
});
afterEach(async () => {
  await server?.remove();
  server = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const run = (url: string, ...more: string[]) =>
  offsite(['run', '-f', join(directory, 'resources.yaml'), '--work-dir', workDir(), '--nats', url, ...more]);
const workDir = () => join(directory, 'work');

/** All that the stream keeps until `enough` is there. */
async function kept(url: string, enough: (messages: EventMessage[]) => boolean): Promise<EventMessage[]> {
  const messages: EventMessage[] = [];
  const signal = AbortSignal.timeout(60_000);
  for await (const message of watchEvents(url, {}, { environment: {}, from: 'all', signal })) {
    messages.push(message);
    if (enough(messages)) break;
  }
  return messages;
}

test('a whole run is seen through NATS: progress of every stage, and results that are the statuses', async () => {
  server = await NatsServer.start();
  writeTinyProject(directory);
  const { code, stderr } = await run(server.url);
  // Unless the server took an event late.
  expect(stderr).not.toMatch(/NatsUnavailable: (?!.*\(TIMEOUT\))/);
  expect(code).toBe(0);

  const messages = await kept(server.url, (all) =>
    all.some(
      ({ event }) =>
        event.type === 'result' && event.stage === 'plug' && 'artifact' in (event.result as object),
    ),
  );
  const stages = new Set(messages.flatMap(({ event }) => (event.type === 'progress' ? [event.stage] : [])));
  expect([...stages]).toEqual(expect.arrayContaining(['probe', 'tune', 'plug: plugIn']));
  expect(messages.every(({ namespace, name }) => namespace === 'default' && name === 'tiny')).toBe(true);
  for (const kind of ['EmulatorBuild', 'OffsiteTune', 'PlugIn']) {
    const results = messages.flatMap(({ kind: of, event }) =>
      of === kind && event.type === 'result' ? [event.result] : [],
    );
    const status = savedStatus(workDir(), kind);
    expect(status.phase).toBe('Complete');
    expect(status).toMatchObject(Object.assign({}, ...results) as object);
  }
});

test('a failed stage is heard of as a warning with its reason, by a later attempt each time', async () => {
  server = await NatsServer.start();
  writeTinyProject(directory, {
    change: ({ build }) => Object.assign(build.spec, { layers: 99, transferLayers: { count: 2 } }),
  });
  const isWarning = ({ event }: EventMessage) => event.type === 'warning';
  for (const times of [1, 2]) {
    expect((await run(server.url)).code).toBe(1);
    const messages = await kept(server.url, (all) => all.filter(isWarning).length === times);
    expect(messages.at(-1)).toMatchObject({ kind: 'EmulatorBuild', event: { reason: 'BadSpec' } });
    const [first, last] = [messages[0]!.attempt!, messages.at(-1)!.attempt!];
    expect(last > first).toBe(times === 2);
  }
});

test('NATS away: a warning, and the run ends Complete', async () => {
  writeTinyProject(directory);
  const { code, stderr } = await run(`nats://127.0.0.1:${await freePort()}`);
  expect(code).toBe(0);
  expect(stderr.match(/NatsUnavailable/g)).toHaveLength(1);
});

test('a greeting without an end: a warning, and the run ends Complete; who watches is told that it is no NATS', async () => {
  const { url, close } = await lyingNats('a greeting without an end');
  try {
    writeTinyProject(directory);
    const { code, stderr } = await run(url);
    expect(code).toBe(0);
    expect(stderr.match(/NatsUnavailable: NATS takes no events \(NOT_NATS\)/g)).toHaveLength(1);
    const watching = await offsite(['watch', '--nats', url], { environment: { PATH: '/nowhere' } });
    expect(watching).toMatchObject({ code: 1 });
    expect(watching.stderr).toContain('NATS cannot be reached (NOT_NATS)');
  } finally {
    close();
  }
});

test('a URL or credentials that cannot be used: exit 2 before anything runs, and no secret is shown', async () => {
  writeTinyProject(directory);
  const wrongUrl = await run('http://user:hush-hush@host');
  expect(wrongUrl).toMatchObject({ code: 2 });
  expect(wrongUrl.stderr).toContain('nats://host:port');
  expect(wrongUrl.stderr).not.toContain('hush');
  const noFile = await run('nats://127.0.0.1:4222', '--nats-credentials', join(directory, 'none.creds'));
  expect(noFile).toMatchObject({ code: 2 });
  expect(noFile.stderr).toContain('none.creds');
});
