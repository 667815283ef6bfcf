import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Namespace, type PodEnd } from '../support/processes/pod.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import { type Manifest, setField, tinyRows, writeRows, writeTinyModel } from '../support/tiny/index.ts';

// docs/exchange.md as it stands, with a tiny model: two parties who share a bucket and tell each other digests.
const [build, tune, plug] = blocks('yaml').map((text) => parse(text)) as [Manifest, Manifest, Manifest];

/** The page's fenced blocks of a language. */
function blocks(language: string): string[] {
  const page = readFileSync(new URL('../../docs/exchange.md', import.meta.url), 'utf8');
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, text]) => text as string,
  );
}

let owner: Namespace;
let tuner: Namespace;
let bucket: S3Server;
let clients: { owner: S3Client; tuner: S3Client };

beforeAll(async () => {
  [owner, tuner] = [new Namespace(), new Namespace()];
  bucket = await S3Server.start('exchange');
  // Each party with its own keys, which may do what the page's policy says.
  const parties = { owner: bucket.addUser('model-owner'), tuner: bucket.addUser('data-owner') };
  owner.secret('exchange', parties.owner);
  tuner.secret('exchange', parties.tuner);
  const policy = (blocks('json')[0] as string).replaceAll(/arn:aws:iam::\d+:user\//g, '');
  await clientOf(bucket.credentials).send(new PutBucketPolicyCommand({ Bucket: 'exchange', Policy: policy }));
  clients = { owner: clientOf(parties.owner), tuner: clientOf(parties.tuner) };
  for (const namespace of [owner, tuner]) namespace.claim('work');

  writeTinyModel(join(owner.claim('models'), 'smollm2'));
  writeRows(join(owner.claim('models'), 'probe.jsonl'), tinyRows.text(24, 1));
  writeRows(join(owner.claim('models'), 'released.jsonl'), tinyRows.multipleChoice(12, 4));
  writeRows(join(tuner.claim('private'), 'train.jsonl'), tinyRows.multipleChoice(40, 2));
  writeRows(join(tuner.claim('private'), 'validation.jsonl'), tinyRows.multipleChoice(8, 3));

  // The tiny model's measures in place of SmolLM2's.
  Object.assign(build.spec['probe'] as object, { samples: 16, maxLength: 64 });
  setField(build, 'spec.layers', 4);
  setField(build, 'spec.transferLayers', { count: 2 });
  setField(tune, 'spec.training', { steps: 8, batchSize: 4, learningRate: '1e-2', maxLength: 128 });
  setField(plug, 'spec.gates.plugInAboveFullZeroShot', { tolerance: '1' });
});

afterAll(async () => {
  owner.remove();
  tuner.remove();
  await bucket.remove();
});

const stored = (manifest: Manifest) => ({
  ...manifest,
  metadata: { ...manifest.metadata, uid: `uid-${manifest.kind}`, generation: 1 },
});

interface Told {
  uri: string;
  digest: string;
}

/** The input as the operator hands it to the pod: what the spec says, with the digest that the other party told. */
const told = (manifest: Manifest, input: string, { digest }: Told) => ({
  ...(manifest.spec[input] as object),
  digest,
});

/** Address and digest of what a pod made. */
function artifactOf({ code, termination, text }: PodEnd): Told {
  expect([code, termination?.['ok']], text).toEqual([0, true]);
  return termination?.['artifact'] as Told;
}

let emulator: Told;
let adapter: Told;
let logOfTraining = '';

test('an emulator goes from the model owner to the data owner, an adapter comes back and is plugged in', async () => {
  expect((await owner.run({ stage: 'probe', resource: stored(build), shards: 1 })).code).toBe(0);
  emulator = artifactOf(await owner.run({ stage: 'assemble', resource: stored(build) }));
  expect(emulator.uri).toBe((tune.spec['emulator'] as Told).uri);

  const job = { stage: 'tune', resource: stored(tune), emulator: told(tune, 'emulator', emulator) };
  const trained = await tuner.run(job);
  adapter = artifactOf(trained);
  logOfTraining = trained.text;
  expect(adapter.uri).toBe((plug.spec['adapter'] as Told).uri);

  const inputs = { emulator: told(plug, 'emulator', emulator), adapter: told(plug, 'adapter', adapter) };
  const model = artifactOf(await owner.run({ stage: 'plug', resource: stored(plug), ...inputs }));
  expect(model.uri).toBe('pvc://models/words-model');
});

test('all that each party can read of the other’s is the bundle, the adapter, and what their manifests say', async () => {
  const names = async (client: S3Client) => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'exchange' }));
    return Contents.map(({ Key }) => Key as string).sort();
  };
  const from = { owner: 'from-model-owner', tuner: 'from-data-owner' };
  const listed = await names(clients.owner);
  expect(listed).toEqual(await names(clients.tuner));
  expect(listed).toEqual([
    `${from.tuner}/.words-adapter.offsite-lock`,
    `${from.tuner}/words-adapter.result.json`,
    ...['adapter.safetensors', 'manifest.json'].map((name) => `${from.tuner}/words-adapter/${name}`),
    `${from.owner}/.words-emulator.offsite-lock`,
    `${from.owner}/words-emulator.result.json`,
    ...['config.json', 'manifest.json', 'model.safetensors', 'similarity.json'].map(
      (name) => `${from.owner}/words-emulator/${name}`,
    ),
    ...['tokenizer.json', 'tokenizer_config.json'].map((name) => `${from.owner}/words-emulator/${name}`),
  ]);

  // What only the other party may know: moments, losses of steps, states, likelihoods. It is there, in their own work places.
  const work = (namespace: Namespace, pattern: string) =>
    globSync(pattern, { cwd: namespace.claim('work') }).length;
  expect(work(tuner, 'offsite/offsitetune/data/words/history.json')).toBe(1);
  expect(work(owner, 'offsite/pooled-states/*/states.safetensors')).toBe(1);
  expect(work(owner, 'offsite/pooled-states/*.full-*.json')).toBe(1);
  const text = async (Key: string) => {
    const { Body } = await clients.owner.send(new GetObjectCommand({ Bucket: 'exchange', Key }));
    return (await Body?.transformToString('latin1')) ?? '';
  };
  const history = readFileSync(
    join(tuner.claim('work'), 'offsite/offsitetune/data/words/history.json'),
    'utf8',
  );
  const { losses, evaluations } = JSON.parse(history) as {
    losses: number[];
    evaluations: { loss: number }[];
  };
  expect(losses).toHaveLength(8);
  const figures = [...losses, ...evaluations.map(({ loss }) => loss)].map((loss) => loss.toFixed(4));
  for (const key of listed) {
    const content = await text(key);
    for (const word of [
      'lastLoss',
      'firstLoss',
      'validationLoss',
      'logLikelihood',
      'first/',
      'second/',
      'layer.0"',
      // The key of the mark by which a run knows its own result: with it a guess at the rows could be tried.
      'uid-',
    ])
      expect(content, key).not.toContain(word);
    if (key.endsWith('.json')) for (const figure of figures) expect(content, key).not.toContain(figure);
  }

  // Each writes where it is said, and nowhere else.
  const put = (client: S3Client, Key: string) =>
    client.send(new PutObjectCommand({ Bucket: 'exchange', Key, Body: 'x' }));
  for (const [client, foreign] of [
    [clients.owner, from.tuner],
    [clients.tuner, from.owner],
  ] as const)
    for (const key of [`${foreign}/words-adapter/manifest.json`, `${foreign}/new`, 'elsewhere'])
      await expect(put(client, key), key).rejects.toMatchObject({ name: 'AccessDenied' });
});

test('no private row crosses, not even into a log; the scores on them do', () => {
  const crossed = globSync(join(bucket.fileOf('exchange', ''), '**')).filter((file) =>
    statSync(file).isFile(),
  );
  expect(crossed.length).toBeGreaterThan(5);
  expect(logOfTraining).toContain('tune');
  expect(logOfTraining).not.toContain('Which colour has the');
  for (const file of crossed)
    expect(readFileSync(file, 'latin1'), file).not.toContain('Which colour has the');
  const manifest = JSON.parse(
    readFileSync(bucket.fileOf('exchange', 'from-data-owner/words-adapter/manifest.json'), 'utf8'),
  );
  expect(JSON.stringify(manifest.scores)).toContain('emulatorFineTuned');
});

test('another digest than the one that was told, and a bundle that was changed since, are refused', async () => {
  const elsewhere = { ...emulator, digest: `sha256:${'0'.repeat(64)}` };
  setField(tune, 'spec.output.uri', 's3://exchange/from-data-owner/again');
  const refused = async (input: Told) => {
    const job = { stage: 'tune', resource: stored(tune), emulator: told(tune, 'emulator', input) };
    const { code, termination } = await tuner.run(job);
    expect(code).toBe(12);
    expect(termination).toMatchObject({ ok: false, reason: 'BadModel' });
    return termination?.['message'];
  };
  expect(await refused(elsewhere)).toContain('s3://exchange/from-model-owner/words-emulator: its digest is');

  const Key = 'from-model-owner/words-emulator/model.safetensors';
  const bytes = readFileSync(bucket.fileOf('exchange', Key));
  bytes[bytes.length - 1]! ^= 1;
  // As the project's own upload would store it.
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await clients.owner.send(
    new PutObjectCommand({ Bucket: 'exchange', Key, Body: bytes, Metadata: { sha256 } }),
  );
  expect(await refused(emulator)).toContain('model.safetensors');
});

const clientOf = (values: Record<string, string>) =>
  new S3Client({
    endpoint: bucket.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: values['AWS_ACCESS_KEY_ID'] as string,
      secretAccessKey: values['AWS_SECRET_ACCESS_KEY'] as string,
    },
  });
