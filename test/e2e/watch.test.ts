import { afterEach, expect, test } from 'vitest';
import { openPublisher, type StageEvent } from '../../src/progress/index.ts';
import { freePort } from '../support/cluster/ports.ts';
import { offsite, startOffsite } from '../support/offsite/index.ts';
import { NatsServer } from '../support/servers/nats-server.ts';

let server: NatsServer | undefined;
afterEach(async () => {
  await server?.remove();
  server = undefined;
});

const resource = (kind: string, name: string, namespace = 'data') => ({
  kind,
  metadata: { name, namespace, uid: `uid-${name}` },
});
const progress = (stage: string, progressPercentage: number): StageEvent => ({
  type: 'progress',
  stage,
  progressPercentage,
  estimatedRemainingSeconds: 8,
  metrics: [{ name: 'loss', value: '1.5' }],
});
const result = (stage: string): StageEvent => ({ type: 'result', stage, result: {} });

async function publish(url: string, shard?: { index: number; count: number }) {
  const publisher = openPublisher({ url, environment: {}, shard });
  return {
    tell: (kind: string, name: string, event: StageEvent, namespace?: string) =>
      publisher.publish(resource(kind, name, namespace), event),
    end: () => publisher.close(30_000),
  };
}

test('what runs is shown line by line; with KIND/NAME until its last stage is done', async () => {
  server = await NatsServer.start();
  const first = await publish(server.url);
  first.tell('OffsiteTune', 'words', progress('tune', 20));
  first.tell('OffsiteTune', 'other', progress('tune', 77));
  first.tell('OffsiteTune', 'words', progress('tune', 30), 'elsewhere');
  await first.end();
  const watching = startOffsite(['watch', 'ot/words', '-n', 'data', '--nats', server.url]);
  const begun = new Promise<void>((resolve) => watching.child.stderr?.on('data', () => resolve()));
  await begun;
  const second = await publish(server.url);
  second.tell('OffsiteTune', 'words', { type: 'warning', reason: 'Careful', message: 'about this' });
  second.tell('OffsiteTune', 'words', result('tune'));
  await second.end();
  const { code, stderr } = await watching.ended;
  expect(code).toBe(0);
  expect(stderr.trim().split('\n')).toEqual([
    'OffsiteTune words  tune: 20%, 8 s left, loss 1.5',
    'OffsiteTune words  warning: Careful: about this',
    'OffsiteTune words  tune: done',
  ]);
});

test('JSON for scripts, a stage of its own for each shard, and Ctrl-C ends it well', async () => {
  server = await NatsServer.start();
  const lines: string[] = [];
  for (const index of [0, 1]) {
    const pod = await publish(server.url, { index, count: 2 });
    pod.tell('EmulatorBuild', 'words', progress('probe', 40 + index));
    await pod.end();
  }
  const watching = startOffsite(['watch', '--json', '--nats', server.url], {
    onLine: (line, child) => {
      lines.push(line);
      if (lines.length === 1) child.kill('SIGINT');
    },
  });
  const { code } = await watching.ended;
  expect(code).toBe(0);
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    kind: 'EmulatorBuild',
    name: 'words',
    namespace: 'data',
    type: 'progress',
    stage: 'probe 2/2',
    progressPercentage: 41,
  });
});

test('a wrong kind, a wrong URL, and neither NATS nor kubectl: what is right is said', async () => {
  const wrongKind = await offsite(['watch', 'pod/words']);
  expect(wrongKind).toMatchObject({ code: 2 });
  expect(wrongKind.stderr).toContain(
    'pod: is no kind of ours: EmulatorBuild (eb), OffsiteTune (ot), PlugIn (pi)',
  );
  const wrongUrl = await offsite(['watch', '--nats', 'http://user:hush-hush@host']);
  expect(wrongUrl).toMatchObject({ code: 2 });
  expect(wrongUrl.stderr).not.toContain('hush');
  const nothing = await offsite(['watch', '--nats', `nats://127.0.0.1:${await freePort()}`], {
    environment: { PATH: '/nowhere' },
  });
  expect(nothing).toMatchObject({ code: 1 });
  expect(nothing.stderr).toContain('NATS cannot be reached (CONNECTION_REFUSED)');
  expect(nothing.stderr).toContain('there is no kubectl on PATH');
});
