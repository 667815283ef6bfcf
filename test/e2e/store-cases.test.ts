import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { sealArtifact, signArtifact } from '../../src/artifact/index.ts';
import { HubStore } from '../../src/artifact/stores/hf.ts';
import { HttpClient } from '../../src/artifact/stores/http.ts';
import { HttpsStore } from '../../src/artifact/stores/https.ts';
import { S3Store } from '../../src/artifact/stores/s3.ts';
import { type PlacedStore, storeCases } from '../support/cases/stores.ts';
import { Authority } from '../support/cluster/certificates.ts';
import { serveFiles, startHub } from '../support/servers/hub.ts';
import { S3Server } from '../support/servers/s3-server.ts';

const proxies = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };
const token = 'never-to-be-shown';
const signal = new AbortController().signal;

const owner = generateKeyPairSync('ed25519');

/** A signed artifact on disk, and what a test needs of it whatever serves it. */
function artifact() {
  const root = mkdtempSync(join(tmpdir(), 'offsite-store-cases-'));
  const directory = join(root, 'artifact');
  mkdirSync(directory);
  writeFileSync(join(directory, 'model.safetensors'), randomBytes(100_000));
  writeFileSync(join(directory, 'config.json'), '{"a": 1}');
  writeFileSync(join(directory, 'tokenizer.json'), '{}');
  const { digest } = sealArtifact(directory, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  signArtifact(directory, { digest, kind: 'Model' }, owner.privateKey);
  const files = new Map(readdirSync(directory).map((path) => [path, readFileSync(join(directory, path))]));
  const change = (path: string, bytes: Buffer | undefined) =>
    bytes === undefined ? rmSync(join(directory, path)) : writeFileSync(join(directory, path), bytes);
  return { root, directory, files, change, remove: () => rmSync(root, { recursive: true, force: true }) };
}

storeCases('S3', async (): Promise<PlacedStore> => {
  const { files, remove } = artifact();
  const server = await S3Server.start('models');
  const store = new S3Store({ values: server.credentials, source: 'the environment' }, proxies);
  for (const [path, bytes] of files) {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const outgoing = { body: Readable.from([bytes]), sizeBytes: bytes.length, sha256, writer: 'a test' };
    await store.write(`models/team/words/${path}`, outgoing, signal);
  }
  const client = new S3Store({ values: server.credentials, source: 'the environment' }, proxies);
  return {
    store: client,
    scheme: 's3://',
    place: 'models/team/words',
    files,
    key: owner.publicKey,
    secret: server.secretKey,
    change(path, bytes) {
      const file = server.fileOf('models', `team/words/${path}`);
      rmSync(file, { force: true });
      if (bytes === undefined) return;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, bytes);
    },
    stop: () => server.kill(),
    async remove() {
      await server.remove();
      remove();
    },
  };
});

storeCases('the web', async (): Promise<PlacedStore> => {
  const { root, directory, files, change, remove } = artifact();
  const authority = new Authority(root);
  const server = await serveFiles(directory, authority.issue('web', 'web', [], ['127.0.0.1']));
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, readFileSync(authority.own.cert, 'utf8')]);
  let open = true;
  const stop = async () => {
    if (open) await server.close();
    open = false;
  };
  return {
    store: new HttpsStore(new HttpClient(token, { source: 'Secret web' }, [], proxies)),
    scheme: 'https://',
    // The server's root is the artifact.
    place: `127.0.0.1:${server.port}`,
    files,
    key: owner.publicKey,
    secret: token,
    change,
    stop,
    async remove() {
      await stop();
      setDefaultCACertificates(before);
      remove();
    },
  };
});

storeCases('the hub', async (): Promise<PlacedStore> => {
  const { directory, files, change, remove } = artifact();
  const hub = await startHub(directory, token);
  let open = true;
  const stop = async () => {
    if (open) await hub.close();
    open = false;
  };
  return {
    store: new HubStore(new HttpClient(token, { source: 'Secret hub' }, [], proxies), hub.endpoint),
    scheme: 'hf://',
    place: 'team/tiny@v1',
    files,
    key: owner.publicKey,
    secret: token,
    change,
    stop,
    async remove() {
      await stop();
      remove();
    },
  };
});
