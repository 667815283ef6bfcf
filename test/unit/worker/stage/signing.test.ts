/** Who signed what a stage reads, and what it signs itself: the keys as a spec names them, on this machine's files. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Key, keyFiles, parseResource } from '../../../../src/api/index.ts';
import {
  checkSignature,
  Mirror,
  openArtifact,
  sealArtifact,
  signArtifact,
  signatureName,
} from '../../../../src/artifact/index.ts';
import { parseKeys } from '../../../../src/cli/arguments.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { outputOf, workOf } from '../../../../src/worker/places.ts';
import { runStage } from '../../../../src/worker/stage/run-stage.ts';
import { checkSigned, openKeys, signOutput } from '../../../../src/worker/stage/signing.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

const hospital = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const bank = generateKeyPairSync('ed25519');
const spki = (...keys: KeyObject[]) =>
  keys.map((key) => key.export({ type: 'spki', format: 'pem' })).join('');
const pkcs8 = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }) as string;

let root: string;
let digest: string;
const artifact = () => join(root, 'out/adapter');
const mirror = () => new Mirror({ scratch: undefined, signal: new AbortController().signal });
const keyPlace = ({ kind, secret }: Key) => join(root, 'keys', secret, keyFiles[kind]);

function key(secret: string, kind: Key['kind'], text: string): void {
  mkdirSync(join(root, 'keys', secret), { recursive: true });
  writeFileSync(join(root, 'keys', secret, keyFiles[kind]), text);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-signing-'));
  mkdirSync(artifact(), { recursive: true });
  writeFileSync(join(artifact(), 'adapter.safetensors'), 'weights');
  ({ digest } = sealArtifact(artifact(), { kind: 'Adapter', madeFrom: {}, hyperparameters: {} }));
  key('hospital', 'public', spki(hospital.publicKey));
  key('hospital', 'private', pkcs8(hospital.privateKey));
  key('bank', 'public', spki(bank.publicKey));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Named {
  signers?: object[];
  signer?: string;
  signingKey?: string;
}

const hospitals = { name: 'hospital', publicKeyRef: { name: 'hospital' } };

/** A plug-in that reads the adapter. */
function job({ signers = [hospitals], signer = 'hospital', signingKey }: Named = {}): StageJob {
  const { plug } = tinyManifests((place) => `pvc://team/${place}`);
  const spec = plug['spec'] as Record<string, object>;
  const uri = 'pvc://team/out/adapter';
  const resource = parseResource(
    {
      ...plug,
      spec: {
        ...spec,
        adapter: { uri, digest, ...(signer && { signer }) },
        ...(signers.length > 0 && { signers }),
        output: { ...spec['output'], ...(signingKey && { signingKeyRef: { name: signingKey } }) },
      },
    },
    'test',
  );
  return {
    ...{
      stage: 'plug',
      resource,
      inputs: { emulator: { uri: 'pvc://team/out/emulator' }, adapter: { uri, digest } },
    },
    mounts: { claims: { team: root }, confined: true, base: '/' },
  };
}

const check = async (named?: Named) => {
  const at = job(named);
  return await checkSigned(at, openKeys(at, keyPlace), mirror());
};
const sign = ({ privateKey } = hospital, { kind = 'Adapter' } = {}) =>
  signArtifact(artifact(), { digest, kind }, privateKey);
const refusal = (reason: string, message: string) =>
  expect.objectContaining({ reason, message: expect.stringContaining(message) });

it('an artifact that its signer has signed is taken, with the digest that was signed', async () => {
  sign();
  expect((await check()).inputs['adapter']?.digest).toBe(digest);
  const unnamed = job();
  const { uri } = unnamed.inputs['adapter']!;
  const known = { ...unnamed, inputs: { ...unnamed.inputs, adapter: { uri } } };
  const checked = await checkSigned(known, openKeys(known, keyPlace), mirror());
  expect(checked.inputs['adapter']).toEqual({ uri, digest });
});

it('one that nobody asks about is taken with any signature, and without', async () => {
  for (const leave of [() => {}, () => sign(bank)]) {
    leave();
    expect((await check({ signers: [], signer: '' })).inputs['adapter']?.digest).toBe(digest);
  }
});

it.each<[string, () => void, string]>([
  ['not signed', () => {}, 'is not signed: it holds no manifest.dsse.json'],
  ['signed by another party', () => sign(bank), 'no signature in it is by this key'],
  ['signed as another kind', () => sign(hospital, { kind: 'Emulator' }), 'of an artifact of kind Emulator'],
  [
    'signed, and replaced by another since',
    () => {
      sign();
      rmSync(join(artifact(), 'manifest.json'));
      sealArtifact(artifact(), { kind: 'Adapter', madeFrom: { emulator: 'other' }, hyperparameters: {} });
    },
    `is the signature of another artifact`,
  ],
  [
    'of its signer, but from another round',
    () => {
      rmSync(join(artifact(), 'manifest.json'));
      const description = { kind: 'Adapter' as const, madeFrom: { start: 'earlier' }, hyperparameters: {} };
      const earlier = sealArtifact(artifact(), description);
      signArtifact(artifact(), { digest: earlier.digest, kind: 'Adapter' }, hospital.privateKey);
    },
    'is another artifact than the one that is meant: its digest is sha256:',
  ],
  ['none at all', () => rmSync(join(artifact(), 'manifest.json')), 'holds no manifest.json'],
])('one that is %s is refused with the field that asks for the signer', async (_, leave, words) => {
  leave();
  await expect(check()).rejects.toThrow(
    refusal('BadModel', `spec.adapter.signer: hospital must have signed it: ${artifact()}`),
  );
  await expect(check()).rejects.toThrow(words);
});

it('while a key is replaced both are taken, and afterwards the new one alone', async () => {
  const next = generateKeyPairSync('ed25519');
  sign();
  key('hospital', 'public', spki(next.publicKey, hospital.publicKey));
  await check();
  sign(next);
  await check();
  const afterwards = { signers: [{ name: 'hospital', publicKey: spki(next.publicKey) }] };
  await check(afterwards);
  // What the old key alone has signed.
  rmSync(join(artifact(), signatureName));
  sign();
  await expect(check(afterwards)).rejects.toThrow(refusal('BadModel', 'no signature in it is by this key'));
});

it.each<[string, Named, () => void, string]>([
  [
    'is not there',
    {},
    () => rmSync(join(root, 'keys/hospital'), { recursive: true }),
    'spec.signers[0].publicKeyRef: its file',
  ],
  [
    'is none',
    {},
    () => key('hospital', 'public', 'key'),
    'spec.signers[0].publicKeyRef: must hold public keys',
  ],
  [
    'is private',
    {},
    () => key('hospital', 'public', pkcs8(bank.privateKey)),
    'spec.signers[0].publicKeyRef: holds a private key',
  ],
  [
    'is damaged, in the spec',
    { signers: [{ name: 'hospital', publicKey: spki(bank.publicKey).replace('MCow', 'AAAA') }] },
    () => {},
    'spec.signers[0].publicKey: is damaged',
  ],
  [
    'has no end',
    {},
    () => {
      rmSync(join(root, 'keys/hospital/public.pem'));
      symlinkSync('/dev/zero', join(root, 'keys/hospital/public.pem'));
    },
    'is no file for a key in PEM',
  ],
  [
    'of ours is none',
    { signingKey: 'bank' },
    () => key('bank', 'private', 'x'),
    'spec.output.signingKeyRef: holds no private key',
  ],
  ['of ours is not there', { signingKey: 'bank' }, () => {}, 'spec.output.signingKeyRef: its file'],
])(
  'a key that %s is refused by the field that names it, before anything is done',
  (_, named, leave, words) => {
    leave();
    expect(() => openKeys(job(named), keyPlace)).toThrow(refusal('BadSpec', words));
  },
);

it('one party does not count twice under two names', () => {
  const signers = [hospitals, { name: 'clinic', publicKey: spki(bank.publicKey, hospital.publicKey) }];
  const at = job();
  const twice = { ...at, resource: { ...at.resource, spec: { ...at.resource.spec, signers } } } as StageJob;
  expect(() => openKeys(twice, keyPlace)).toThrow(
    refusal(
      'BadSpec',
      'spec.signers[1]: clinic has a key of hospital; each signer must have keys of its own',
    ),
  );
});

it('what a stage has made it signs, beside who has signed it there; what lies there instead, it does not', async () => {
  const at = job({ signingKey: 'hospital' });
  const { signing } = openKeys(at, keyPlace);
  const output = join(root, (at.resource.spec.output.uri as string).slice('pvc://team/'.length));
  cpSync(artifact(), output, { recursive: true });
  signArtifact(output, { digest, kind: 'Adapter' }, bank.privateKey);
  await signOutput(at, digest, signing!, mirror());
  expect(openArtifact(output).digest).toBe(digest);
  for (const { publicKey } of [hospital, bank])
    checkSignature(output, { digest, kind: 'Adapter' }, [publicKey]);
  await expect(signOutput(at, `sha256:${'0'.repeat(64)}`, signing!, mirror())).rejects.toThrow(
    refusal('BadModel', 'was changed before it was signed; nothing was signed: run again'),
  );
  rmSync(join(output, signatureName));
  for (let i = 0; i < 8; i++)
    signArtifact(output, { digest, kind: 'Adapter' }, generateKeyPairSync('ed25519').privateKey);
  await expect(signOutput(at, digest, signing!, mirror())).rejects.toThrow(
    refusal(
      'BadModel',
      `spec.output.uri: ${join(output, signatureName)}: holds signatures of this very artifact`,
    ),
  );
});

it.each<[string, (output: string) => void]>([
  ['was taken away', () => {}],
  ['is another one’s by now', (output) => signArtifact(output, { digest, kind: 'Adapter' }, bank.privateKey)],
  ['is no signature by now', (output) => writeFileSync(join(output, signatureName), 'nonsense')],
])(
  'finished work whose signature %s is signed again when it is run again, and nothing else is done',
  async (_, spoil) => {
    const at = job({ signingKey: 'hospital' });
    const output = outputOf(at);
    cpSync(artifact(), output, { recursive: true });
    spoil(output);
    const kept = { identity: 'this work', stage: at.stage, result: { artifact: { digest } } };
    mkdirSync(workOf(at).own, { recursive: true });
    writeFileSync(join(workOf(at).own, 'result.json'), JSON.stringify(kept));
    const run = async (place?: typeof keyPlace) =>
      await runStage(at, () => {}, new AbortController().signal, { identity: 'this work', keyPlace: place });
    // A key that is not there is told, though the work is done.
    expect(await run()).toMatchObject({ ok: false, reason: 'BadSpec' });
    expect(await run(keyPlace)).toMatchObject({ ok: true, status: kept.result });
    checkSignature(output, { digest, kind: 'Adapter' }, [hospital.publicKey]);
    const signature = readFileSync(join(output, signatureName));
    expect(await run(keyPlace)).toMatchObject({ ok: true });
    expect(readFileSync(join(output, signatureName)).equals(signature)).toBe(true);
  },
);

it('a stage that only prepares another reads no key', () => {
  const { build } = tinyManifests((place) => `pvc://team/${place}`);
  const resource = parseResource(build, 'test');
  const output = { ...resource.spec.output, signingKeyRef: { name: 'nowhere' } };
  const at = { ...job(), stage: 'probe', resource: { ...resource, spec: { ...resource.spec, output } } };
  expect(openKeys(at as StageJob, keyPlace)).toEqual({ signing: undefined, signers: new Map() });
});

it('on one machine --keys says where the files of a Secret lie', () => {
  const place = parseKeys([`hospital=${join(root, 'keys/hospital')}`]);
  openKeys(job({ signingKey: 'hospital' }), place);
  expect(() => openKeys(job({ signingKey: 'bank' }), place)).toThrow(
    refusal(
      'BadSpec',
      'spec.output.signingKeyRef: add --keys bank=DIR, where DIR holds private.pem of Secret bank',
    ),
  );
  expect(() => openKeys(job())).toThrow(
    refusal('BadSpec', 'spec.signers[0].publicKeyRef: nothing says where'),
  );
  expect(() => parseKeys(['hospital'])).toThrow('--keys hospital: write --keys SECRET=DIR');
});
