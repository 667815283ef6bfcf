// Keys that are replaced while a pod runs: the Secret's files become others, and the server takes the old ones no more.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { readCredentials } from '../../src/artifact/stores/credentials.ts';
import { open } from '../../src/artifact/stores/s3.ts';
import { S3Server } from '../support/servers/s3-server.ts';

const secrets = mkdtempSync(join(tmpdir(), 'offsite-keys-'));
let server: S3Server;
beforeAll(async () => {
  server = await S3Server.start('team');
});
afterAll(async () => {
  await server.remove();
  rmSync(secrets, { recursive: true });
});
afterEach(() => {
  vi.useRealTimers();
});

function writeSecret(values: Record<string, string>): void {
  rmSync(join(secrets, 'team'), { recursive: true, force: true });
  mkdirSync(join(secrets, 'team'));
  for (const [key, value] of Object.entries(values)) writeFileSync(join(secrets, 'team', key), value);
}

test('a Secret with other keys is looked at again within a minute; one with none leaves those that there were', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const { signal } = new AbortController();
  const keysOf = (values: Record<string, string>) => ({ ...server.credentials, ...values });
  writeSecret(keysOf(server.addUser('worker')));
  const store = open(readCredentials('team', secrets, {}), {});
  const asks = async () => {
    const error = await store.list('team/rows', signal).then(
      () => undefined,
      (problem: Error) => problem,
    );
    return error?.message;
  };
  const old = await asks();
  expect(old).toMatch(/^s3:\/\/team\/rows\/: the credentials of Secret team do not allow this/);

  writeSecret(keysOf(server.changeUser('worker')));
  expect(await asks()).toMatch(/its server does not take the credentials of Secret team/);
  vi.setSystemTime(Date.now() + 61_000);
  expect(await asks()).toBe(old);

  writeSecret({ AWS_REGION: 'us-east-1' });
  vi.setSystemTime(Date.now() + 61_000);
  expect(await asks()).toBe(old);
});
