// Who signed what crosses between two parties: from their keys in Secrets to what is refused, over a bucket.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Store } from '../../src/artifact/stores/s3.ts';
import { offsite } from '../support/offsite/index.ts';
import { Namespace, type PodEnd } from '../support/processes/pod.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import {
  type Manifest,
  setField,
  type TinyManifests,
  tinyManifests,
  writeTinyData,
  writeTinyModel,
} from '../support/tiny/index.ts';

interface Made {
  uri: string;
  digest: string;
}

const [modelOwner, dataOwner, stranger] = [1, 2, 3].map(() => generateKeyPairSync('ed25519'));
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const signatureName = 'manifest.dsse.json';

let namespace: Namespace;
let server: S3Server;
let manifests: TinyManifests;
let emulator: Made;
let adapter: Made;

/** A resource of its own each time: what one has done before, it does not do again. */
let resources = 0;
const stored = (manifest: Manifest) => ({
  ...manifest,
  metadata: { name: 'tiny', namespace: 'data', uid: `uid-${resources++}`, generation: 1 },
});
const inBucket = (name: string) => server.fileOf('exchange', name);

function madeBy({ code, termination, text }: PodEnd): Made {
  expect(code, text).toBe(0);
  for (const { privateKey } of [modelOwner!, dataOwner!])
    for (const line of pkcs8(privateKey).split('\n').slice(1, -2)) expect(text).not.toContain(line);
  const { uri, digest } = (termination as { artifact: Made }).artifact;
  return { uri, digest };
}

/** The data owner's pod; its training is the same whoever signs. */
function tune({ signedBy, from = 'model-owner' }: { signedBy?: string; from?: string }) {
  const manifest = structuredClone(manifests.tune);
  setField(manifest, 'spec.emulator', { ...emulator, secretRef: { name: 'store' }, signer: 'owner' });
  setField(manifest, 'spec.signers', [{ name: 'owner', publicKeyRef: { name: from } }]);
  setField(manifest, 'spec.output', {
    uri: 's3://exchange/from-data-owner/adapter',
    secretRef: { name: 'store' },
    ...(signedBy && { signingKeyRef: { name: signedBy } }),
  });
  setField(manifest, 'spec.work', { uri: 'pvc://data/work' });
  return namespace.run({
    stage: 'tune',
    resource: stored(manifest),
    emulator: { ...emulator, secretRef: { name: 'store' } },
  });
}

/** The model owner's pod, which only looks: nothing is evaluated or saved. */
function plug() {
  const manifest = structuredClone(manifests.plug);
  setField(manifest, 'spec.evaluation', undefined);
  setField(manifest, 'spec.adapter', { ...adapter, secretRef: { name: 'store' }, signer: 'data-owner' });
  setField(manifest, 'spec.signers', [{ name: 'data-owner', publicKey: spki(dataOwner!.publicKey) }]);
  setField(manifest, 'spec.output', { uri: 'pvc://models/out', save: 'none' });
  const inputs = { emulator, adapter };
  const withSecrets = Object.fromEntries(
    Object.entries(inputs).map(([role, input]) => [role, { ...input, secretRef: { name: 'store' } }]),
  );
  return namespace.run({ stage: 'plug', resource: stored(manifest), ...withSecrets });
}

beforeAll(async () => {
  namespace = new Namespace();
  writeTinyModel(join(namespace.claim('models'), 'model'));
  for (const claim of ['models', 'data']) writeTinyData(join(namespace.claim(claim), 'data'));
  server = await S3Server.start('exchange');
  namespace.secret('store', server.credentials);
  namespace.key('private', 'own', pkcs8(modelOwner!.privateKey));
  namespace.key('private', 'data-owner', pkcs8(dataOwner!.privateKey));
  namespace.key('public', 'model-owner', spki(modelOwner!.publicKey));
  namespace.key('public', 'stranger', spki(stranger!.publicKey));
  manifests = tinyManifests((place) => `pvc://${place.startsWith('model') ? 'models' : 'data'}/${place}`);
  const build = structuredClone(manifests.build);
  setField(build, 'spec.output', {
    uri: 's3://exchange/from-model-owner/emulator',
    secretRef: { name: 'store' },
    signingKeyRef: { name: 'own' },
  });
  emulator = madeBy(await namespace.run({ stage: 'assemble', resource: stored(build) }));
});
afterAll(async () => {
  await server.remove();
  namespace.remove();
});

test('an emulator by another key is refused before it is trained on; then the adapter is signed, also when it was there before', async () => {
  const { code, termination, text } = await tune({ from: 'stranger' });
  expect(termination, text).toMatchObject({
    reason: 'BadModel',
    message: expect.stringMatching(
      /^spec\.emulator\.signer: owner must have signed it: s3:\/\/exchange\/from-model-owner\/emulator\/manifest\.dsse\.json: no signature in it is by this key/,
    ),
  });
  expect(code).toBe(12);
  expect(text).not.toContain('"part":"tune"');
  const unsigned = madeBy(await tune({}));
  expect(existsSync(join(inBucket('from-data-owner/adapter'), signatureName))).toBe(false);
  const again = await tune({ signedBy: 'data-owner' });
  adapter = madeBy(again);
  expect(adapter).toEqual(unsigned);
  expect(again.text).not.toContain('"part":"tune"');
  expect(existsSync(join(inBucket('from-data-owner/adapter'), signatureName))).toBe(true);
});

test('the adapter is plugged in where its signer is asked for, and not when its signature is swapped or gone', async () => {
  expectDone(await plug());
  const others = readFileSync(join(inBucket('from-model-owner/emulator'), signatureName));
  const refused = async (what: RegExp) => {
    const { code, termination, text } = await plug();
    expect(termination, text).toMatchObject({ reason: 'BadModel', message: expect.stringMatching(what) });
    expect(code).toBe(12);
  };
  const words =
    /^spec\.adapter\.signer: [a-z-]+ must have signed it: s3:\/\/exchange\/from-data-owner\/adapter/;
  await putSignature(others);
  await refused(new RegExp(`${words.source}/manifest\\.dsse\\.json: no signature`));
  await putSignature(undefined);
  await refused(new RegExp(`${words.source}: is not signed`));
});

test('offsite sign and offsite verify --key do the same for what lies here', async () => {
  const directory = join(namespace.directory, 'emulator');
  cpSync(inBucket('from-model-owner/emulator'), directory, { recursive: true });
  const key = (name: string, text: string) => {
    const path = join(namespace.directory, name);
    writeFileSync(path, text);
    return path;
  };
  const [own, other] = [modelOwner!, stranger!].map(({ publicKey }, i) => key(`${i}.pem`, spki(publicKey)));
  const good = await offsite(['verify', directory, '--key', own!]);
  expect(good.stdout).toMatch(/^ {2}signed by key sha256:[0-9a-f]{64}$/m);
  const bad = await offsite(['verify', directory, '--key', other!]);
  expect(bad).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no signature in it is by this key'),
  });
  const signed = await offsite(['sign', directory, '--key', key('s.pem', pkcs8(stranger!.privateKey))]);
  expect(signed, signed.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining(emulator.digest) });
  expect((await offsite(['verify', directory, '--key', other!, '--json'])).stdout).toContain(
    '"key":"sha256:',
  );
});

/** What whoever may write to the bucket puts in the place of the adapter's signature. */
async function putSignature(bytes: Buffer | undefined): Promise<void> {
  const proxies = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };
  const store = new S3Store({ values: server.credentials, source: 'the environment' }, proxies);
  const object = `exchange/from-data-owner/adapter/${signatureName}`;
  const { signal } = new AbortController();
  if (bytes === undefined) return await store.remove([object], signal);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await store.write(
    object,
    { body: Readable.from([bytes]), sizeBytes: bytes.length, sha256, writer: 'another' },
    signal,
  );
}

function expectDone({ code, text }: PodEnd): void {
  expect(code, text).toBe(0);
}
