// cosign itself checks what we sign, refuses what we refuse, and makes what we take; only `make test-faults` builds it.
import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkSignature, sealArtifact, signArtifact, signatureName } from '../../src/artifact/index.ts';

const script = join(import.meta.dirname, '../../scripts/setup/cosign.sh');
const type = 'https://offsite-tuning.dev/artifact/v1';

let root: string;
let program: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-cosign-'));
  program = execFileSync('sh', [script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (...parts: string[]) => join(root, ...parts);

/** cosign, which would otherwise look for its keys of the public log. */
function cosign(...args: string[]): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, HOME: root, COSIGN_PASSWORD: '' },
  });
  return { status, text: stdout + stderr };
}

function written(name: string, content: string | Buffer): string {
  writeFileSync(at(name), content);
  return at(name);
}

function artifact(name: string, content: string): { directory: string; digest: string } {
  const directory = at(name);
  mkdirSync(directory);
  writeFileSync(join(directory, 'adapter.safetensors'), content);
  const { digest } = sealArtifact(directory, { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
  return { directory, digest };
}

const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
const checked = (key: string, directory: string, manifest = join(directory, 'manifest.json')) =>
  cosign(
    ...['verify-blob-attestation', '--key', key, '--signature', join(directory, signatureName)],
    ...['--type', type, '--insecure-ignore-tlog=true', manifest],
  );

test.each([
  ['Ed25519', () => generateKeyPairSync('ed25519')],
  ['ECDSA P-256', () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' })],
] as const)(
  'cosign takes our signature by %s, and refuses another key, another artifact, a changed one',
  (name, pair) => {
    const [own, stranger] = [pair(), pair()];
    const [key, another] = [own, stranger].map(({ publicKey }, i) =>
      written(`${name}-${i}.pem`, pem(publicKey)),
    );
    const { directory, digest } = artifact(name, 'weights');
    signArtifact(directory, { digest, kind: 'Adapter' }, own.privateKey);
    expect(checked(key!, directory)).toMatchObject({
      status: 0,
      text: expect.stringContaining('Verified OK'),
    });

    expect(checked(another!, directory).status).not.toBe(0);
    // Beside ours it stands, and cosign finds either.
    const both = `${directory}-both`;
    cpSync(directory, both, { recursive: true });
    signArtifact(both, { digest, kind: 'Adapter' }, stranger.privateKey);
    for (const one of [key!, another!]) expect(checked(one, both)).toMatchObject({ status: 0 });

    const other = artifact(`${name}-other`, 'others');
    expect(checked(key!, directory, join(other.directory, 'manifest.json')).status).not.toBe(0);
    const changed = `${directory}-changed`;
    cpSync(directory, changed, { recursive: true });
    const envelope = JSON.parse(readFileSync(join(directory, signatureName), 'utf8')) as { payload: string };
    const payload = Buffer.from(envelope.payload, 'base64').toString().replace('Adapter', 'Emulator');
    writeFileSync(
      join(changed, signatureName),
      JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64') }),
    );
    expect(checked(key!, changed).status).not.toBe(0);
  },
);

test('the signature alone is one over the bytes that DSSE 1.0.0 defines, as verify-blob checks it', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { directory, digest } = artifact('alone', 'weights');
  signArtifact(directory, { digest, kind: 'Adapter' }, privateKey);
  const { payload, payloadType, signatures } = JSON.parse(
    readFileSync(join(directory, signatureName), 'utf8'),
  );
  const body = Buffer.from(payload, 'base64');
  const encoded = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `),
    body,
  ]);
  const verify = (blob: Buffer) =>
    cosign(
      ...['verify-blob', '--key', written('alone.pem', pem(publicKey)), '--insecure-ignore-tlog=true'],
      ...['--signature', written('alone.sig', signatures[0].sig), written('alone.blob', blob)],
    );
  expect(verify(encoded)).toMatchObject({ status: 0, text: expect.stringContaining('Verified OK') });
  expect(verify(body).status).not.toBe(0);
});

test('what cosign signs is taken', () => {
  expect(cosign('generate-key-pair', '--output-key-prefix', at('theirs'))).toMatchObject({ status: 0 });
  const { directory, digest } = artifact('theirs-artifact', 'weights');
  const made = cosign(
    ...[
      'attest-blob',
      '--key',
      at('theirs.key'),
      '--predicate',
      written('predicate.json', '{"kind":"Adapter"}'),
    ],
    ...['--type', type, '--tlog-upload=false', '--use-signing-config=false', '--new-bundle-format=false'],
    ...['--output-signature', join(directory, signatureName), join(directory, 'manifest.json')],
  );
  expect(made, made.text).toMatchObject({ status: 0 });
  const key = createPublicKey(readFileSync(at('theirs.pub')));
  expect(checkSignature(directory, { digest, kind: 'Adapter' }, [key])).toBe(key);
  // Over the statement as cosign wrote it.
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  signArtifact(directory, { digest, kind: 'Adapter' }, privateKey);
  for (const key of [at('theirs.pub'), written('ours.pem', pem(publicKey))])
    expect(checked(key, directory)).toMatchObject({ status: 0 });
});
