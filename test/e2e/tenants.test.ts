import { readFileSync } from 'node:fs';
import { PutBucketPolicyCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { S3Server } from '../support/servers/s3-server.ts';
import { type Attempt, Matrix } from '../support/tenants/attempts.ts';
import { type Place, S3User } from '../support/tenants/s3.ts';

// The bucket of docs/exchange.md with its policy, and each party's own bucket: everybody tries everything everywhere, and a real
// S3 server answers. A table of docs/security.md is these answers.
let s3: S3Server;
afterAll(async () => {
  await s3?.remove();
});

const control = 'root';
const actors = ['model owner', 'data owner', 'another user', 'without keys'];
const matrix = new Matrix('in the S3 server', actors, 'AccessDenied');
const attempts: Attempt[] = [];
const places: readonly (Place & { whose: string })[] = [
  at(
    '`exchange/from-model-owner/`',
    'exchange',
    'from-model-owner/',
    'words-emulator/model.safetensors',
    'bundle',
  ),
  at(
    '`exchange/from-data-owner/`',
    'exchange',
    'from-data-owner/',
    'words-adapter/adapter.safetensors',
    'adapter',
  ),
  at('`exchange/`', 'exchange', '', 'elsewhere', 'elsewhere'),
  at('`models/`', 'models', '', 'smollm2/model.safetensors', 'model'),
  at('`models/`', 'models', 'work/', 'offsite/pooled-states/states.safetensors', 'work place'),
  at('`models/`', 'models', 'reports/', 'report.html', 'report'),
  at('`private/`', 'private', '', 'train.jsonl', 'rows'),
  at('`private/`', 'private', 'work/', 'offsite/offsitetune/data/words/history.json', 'work place'),
  at('`private/`', 'private', 'reports/', 'report.html', 'report'),
];

beforeAll(async () => {
  s3 = await S3Server.start('exchange', 'models', 'private');
  const keys: Record<string, Record<string, string> | undefined> = {
    'model owner': s3.addUser('model-owner'),
    'data owner': s3.addUser('data-owner'),
    'another user': s3.addUser('another'),
    'without keys': undefined,
    [control]: s3.credentials,
  };
  const root = rootOf(s3);
  const policies = {
    exchange: pagesPolicy(),
    models: policyFor('models', 'model-owner'),
    private: policyFor('private', 'data-owner'),
  };
  for (const [Bucket, Policy] of Object.entries(policies))
    await root.send(new PutBucketPolicyCommand({ Bucket, Policy }));
  for (const { bucket, prefix, object, what } of places)
    await root.send(new PutObjectCommand({ Bucket: bucket, Key: prefix + object, Body: what }));
  for (const [who, credentials] of Object.entries(keys)) {
    const user = new S3User(s3, who, credentials);
    for (const { whose, ...place } of places)
      for (const tried of await user.tryPlace(place)) attempts.push({ who, whose, ...tried });
    for (const bucket of Object.keys(policies))
      for (const tried of await user.tryBucket(bucket))
        attempts.push({ who, whose: `\`${bucket}/\``, ...tried });
    const permitted = await user.mayMakeBuckets();
    attempts.push({ who, whose: 'the server', what: 'buckets', deed: 'make', permitted });
    user.close();
  }
  root.destroy();
});

it('each writes its prefix and its own bucket, reads the other prefix, and nothing else (WRITE_TENANTS=1 writes it)', () => {
  if (process.env['WRITE_TENANTS'] === '1') matrix.write(attempts);
  expect(matrix.written()).toBe(matrix.table(attempts));
});

it('all of it is permitted to root', () => {
  const [first, ...others] = [control, ...actors].map((who) => attempts.filter((each) => each.who === who));
  expect(first!.filter(({ permitted }) => !permitted).map(nameOf)).toEqual([]);
  for (const other of others) expect(other.map(nameOf)).toEqual(first!.map(nameOf));
});

function at(
  whose: string,
  bucket: string,
  prefix: string,
  object: string,
  what: string,
): Place & { whose: string } {
  return { whose, bucket, prefix, object, what };
}

/** The policy that docs/exchange.md shows; here a principal is a user's name alone. */
const pagesPolicy = () => {
  const page = readFileSync(new URL('../../docs/exchange.md', import.meta.url), 'utf8');
  return /^```json\n(.*?)^```$/ms.exec(page)![1]!.replaceAll(/arn:aws:iam::\d+:user\//g, '');
};

const policyFor = (bucket: string, user: string) =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        ...{ Effect: 'Allow', Principal: { AWS: [user] } },
        Action: [
          's3:ListBucket',
          's3:GetObject',
          's3:PutObject',
          's3:DeleteObject',
          's3:AbortMultipartUpload',
        ],
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
    ],
  });

const rootOf = ({ endpoint, accessKey, secretKey }: S3Server) =>
  new S3Client({
    ...{ endpoint, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });

const nameOf = ({ whose, what, deed }: Attempt) => `${whose}: ${deed} ${what}`;
