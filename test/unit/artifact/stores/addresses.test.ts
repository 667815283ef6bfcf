import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StoreScheme } from '../../../../src/api/index.ts';
import { readCredentials } from '../../../../src/artifact/stores/credentials.ts';
import { openStore } from '../../../../src/artifact/stores/open.ts';

let secrets: string;
beforeEach(() => {
  secrets = mkdtempSync(join(tmpdir(), 'offsite-secrets-'));
});
afterEach(() => rmSync(secrets, { recursive: true, force: true }));

const keys = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' };
const server = "must be a server's URL";
const region = 'must be the name of a region, such as us-east-1';

const wrong: [scheme: StoreScheme, name: string, value: string, right: string][] = [
  ['s3', 'AWS_ENDPOINT_URL', 'foo hunter2', server],
  ['s3', 'AWS_ENDPOINT_URL', 'minio:9000', server],
  ['s3', 'AWS_ENDPOINT_URL_S3', 'ftp://user:hunter2@minio', server],
  ['s3', 'AWS_ENDPOINT_URL', 'http://minio/?key=hunter2', server],
  ['s3', 'AWS_REGION', 'hunter2 b/c', region],
  ['s3', 'AWS_DEFAULT_REGION', '-hunter2', region],
  ['hf', 'HF_ENDPOINT', 'foo hunter2', server],
  ['hf', 'HF_ENDPOINT', 'ftp://user:hunter2@hub', server],
  ['hf', 'HF_ENDPOINT', 'https://user:hunter2@hub.example.com', `${server} without user and password`],
];

test.each(wrong)(
  'of %s, a wrong %s is no fault that passes: it is named, whosever it is, and not told: %s',
  async (scheme, name, value, right) => {
    const named = async (credentials: ReturnType<typeof readCredentials>, source: string) => {
      const opened = openStore(scheme, credentials, {});
      await expect(opened).rejects.toMatchObject({
        reason: 'BadSpec',
        message: expect.stringContaining(`${name} of ${source}: ${right}`),
      });
      await expect(opened).rejects.not.toThrow('hunter2');
    };
    await named(readCredentials(undefined, undefined, { ...keys, [name]: value }), 'the environment');
    mkdirSync(join(secrets, 'store'));
    // Where the Secret does not say it, it is the environment's.
    await named(readCredentials('store', secrets, { [name]: value }), 'the environment');
    writeFileSync(join(secrets, 'store', name), value);
    await named(readCredentials('store', secrets, {}), 'Secret store');
  },
);

test.each<[StoreScheme, Record<string, string>]>([
  ['s3', { AWS_ENDPOINT_URL: 'http://user:password@127.0.0.1:9000/', AWS_REGION: 'eu-central-1' }],
  ['s3', { AWS_ENDPOINT_URL: '', AWS_REGION: '', AWS_DEFAULT_REGION: 'auto' }],
  ['hf', { HF_ENDPOINT: 'https://hub.example.com/api-mirror/' }],
  ['hf', { HF_ENDPOINT: '', HF_TOKEN: 'hf_abc.DEF-1' }],
])('of %s, %o are taken; what is empty is not there', async (scheme, values) => {
  await openStore(scheme, readCredentials(undefined, undefined, { ...keys, ...values }), {});
});

test.each(['tok\nx: hunter2', 'hunter2 x', 'hünter2'])(
  'a token that no header holds is refused: %j',
  async (token) => {
    const opened = openStore('hf', readCredentials(undefined, undefined, { HF_TOKEN: token }), {});
    await expect(opened).rejects.toMatchObject({
      reason: 'BadSpec',
      message: 'the token of the environment: must be one word, without blanks and line breaks',
    });
  },
);

test.each(['HTTP_PROXY', 'HTTPS_PROXY'])('a wrong %s is named, and not told', async (name) => {
  const opened = openStore('https', readCredentials(undefined, undefined, {}), { [name]: 'hunter2:3128' });
  await expect(opened).rejects.toMatchObject({
    reason: 'BadSpec',
    message: `the environment's ${name} must be a proxy's URL, such as http://proxy.example.com:3128 (a % in a password is written %25)`,
  });
});
