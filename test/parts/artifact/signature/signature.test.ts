/** A signature beside a manifest: what it changes of an artifact (nothing), and which ones are taken. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fs, {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  checkSignature,
  digestOf,
  listedIn,
  openArtifact,
  sealArtifact,
  signArtifact,
  signatureName,
  writeArtifact,
} from '../../../../src/artifact/index.ts';
import { envelopeOf } from '../../../../src/artifact/signature/dsse.ts';
import { unanswered } from '../../../support/faults/unanswered-disk.ts';

const owner = generateKeyPairSync('ed25519');
const another = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

let root: string;
let directory: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-signature-'));
  directory = artifact('adapter');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function artifact(name: string, emulator = 'sha256:one', kind: 'Adapter' | 'Model' = 'Adapter'): string {
  const path = join(root, name);
  mkdirSync(path);
  writeFileSync(join(path, 'adapter.safetensors'), 'weights');
  sealArtifact(path, { kind, madeFrom: { emulator }, hyperparameters: {} });
  return path;
}

const subjectOf = (path: string) => {
  const { digest, manifest } = openArtifact(path);
  return { digest, kind: manifest.kind };
};
const sign = (path: string, { privateKey } = owner) => signArtifact(path, subjectOf(path), privateKey);
const check = (path: string, keys = [another.publicKey, owner.publicKey]) =>
  checkSignature(path, subjectOf(path), keys);
const file = (path: string) => join(path, signatureName);

it('is written under its own name alone: killed at any moment, what lies there is an artifact, and is signed by the next try', () => {
  const { writeFileSync: write, rmSync: remove } = fs;
  const use = (functions: object) => {
    Object.assign(fs, functions);
    syncBuiltinESMExports();
  };
  const killed = (text: (whole: string) => string) => {
    const dead = () => {
      throw new Error('killed');
    };
    use({
      writeFileSync(path: string, whole: string, options: object) {
        write(path, text(whole), options);
        // Nothing that it would have cleared is cleared.
        use({ rmSync: dead });
        dead();
      },
    });
    expect(() => sign(directory)).toThrow('killed');
    use({ writeFileSync: write, rmSync: remove });
  };
  for (const text of [(whole: string) => whole, (whole: string) => whole.slice(0, 20), () => '']) {
    rmSync(file(directory), { force: true });
    killed(text);
    openArtifact(directory);
    sign(directory);
    check(directory);
  }
});

it('changes no digest, of an artifact or of a model that it is used as, and is no file of either', () => {
  const before = { artifact: openArtifact(directory), model: digestOf(directory) };
  sign(directory);
  const { digest, sizeBytes } = openArtifact(directory);
  expect({ digest, sizeBytes }).toEqual({
    digest: before.artifact.digest,
    sizeBytes: before.artifact.sizeBytes,
  });
  expect(digestOf(directory)).toBe(before.model);
  expect(check(directory)).toBe(owner.publicKey);
});

it('is a file like any other where there is no manifest', () => {
  const model = join(root, 'model');
  mkdirSync(model);
  writeFileSync(join(model, 'config.json'), '{}');
  const before = digestOf(model);
  writeFileSync(file(model), '{}');
  expect(digestOf(model)).not.toBe(before);
});

it('stays as it is where the key has signed before, and beside that of another key', () => {
  sign(directory, another);
  const first = readFileSync(file(directory), 'utf8');
  sign(directory, another);
  expect(readFileSync(file(directory), 'utf8')).toBe(first);
  sign(directory);
  for (const { publicKey } of [owner, another]) expect(check(directory, [publicKey])).toBe(publicKey);
  const { signatures, ...rest } = JSON.parse(readFileSync(file(directory), 'utf8'));
  expect({ ...rest, signatures: [signatures[0]] }).toEqual(JSON.parse(first));
  // Of another artifact none stays.
  cpSync(file(directory), file(artifact('other', 'sha256:two')));
  sign(join(root, 'other'));
  expect(() => check(join(root, 'other'), [another.publicKey])).toThrow('no signature in it is by this key');
});

it('of another key is there at every moment while one comes beside it', () => {
  sign(directory, another);
  const { renameSync: rename } = fs;
  const use = (renameSync: typeof rename) => {
    Object.assign(fs, { renameSync });
    syncBuiltinESMExports();
  };
  const signature = readFileSync(file(directory));
  use(() => {
    check(directory, [another.publicKey]);
    openArtifact(directory);
    throw new Error('killed');
  });
  try {
    expect(() => sign(directory)).toThrow('killed');
  } finally {
    use(rename);
  }
  expect(readFileSync(file(directory)).equals(signature)).toBe(true);
  sign(directory);
  check(directory, [owner.publicKey]);
  expect(readdirSync(root)).toEqual(['adapter']);
});

it.each(['EACCES', 'EIO', 'ESTALE'])('of another that cannot be read (%s) is not written over', (code) => {
  sign(directory, another);
  const subject = subjectOf(directory);
  const before = readFileSync(file(directory), 'utf8');
  unanswered(signatureName, code, () =>
    expect(() => signArtifact(directory, subject, owner.privateKey)).toThrow(new RegExp(`^${code}`)),
  );
  expect(readFileSync(file(directory), 'utf8')).toBe(before);
  check(directory, [another.publicKey]);
});

it.each<[string, () => void]>([
  [
    'as many as are read',
    () => {
      for (let i = 0; i < 8; i++) sign(directory, generateKeyPairSync('ed25519'));
    },
  ],
  [
    'one whose statement says more, which we do not sign',
    () => signAs({ predicate: { kind: 'Adapter', isHarmless: true } }, undefined, another),
  ],
  [
    'one whose statement says a thing twice',
    () => {
      const sha256 = subjectOf(directory).digest.slice('sha256:'.length);
      signText(
        `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"manifest.json","digest":{"sha256":"${sha256}"}}],"predicateType":"https://offsite-tuning.dev/artifact/v1","predicate":{"kind":"Model","kind":"Adapter"}}`,
        undefined,
        another,
      );
    },
  ],
])('beside %s no other is put, and it stays', (_, lay) => {
  lay();
  const signatures = readFileSync(file(directory));
  expect(() => sign(directory)).toThrow(
    expect.objectContaining({
      reason: 'BadModel',
      message: expect.stringContaining(
        'of a statement that names digest and kind alone 8 are read, in 65536 bytes',
      ),
    }),
  );
  expect(readFileSync(file(directory)).equals(signatures)).toBe(true);
});

it('goes with the artifact that it belongs to when that is replaced', async () => {
  sign(directory);
  expect(listedIn(directory)).toContain(signatureName);
  await writeArtifact(directory, (partial) => {
    writeFileSync(join(partial, 'adapter.safetensors'), 'others');
    sealArtifact(partial, { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
  });
  expect(existsSync(file(directory))).toBe(false);
});

it('is written where an empty directory has its name, which no look at the files sees', () => {
  mkdirSync(file(directory));
  sign(directory);
  check(directory);
});

it('stays where the very same artifact is made again in its place, whoever signed it', async () => {
  sign(directory, another);
  await writeArtifact(directory, (partial) => {
    writeFileSync(join(partial, 'adapter.safetensors'), 'weights');
    sealArtifact(partial, { kind: 'Adapter', madeFrom: { emulator: 'sha256:one' }, hyperparameters: {} });
  });
  check(directory, [another.publicKey]);
});

it.each<[string, (path: string, secret: string) => void]>([
  ['a link to what only its maker may read', (path, secret) => symlinkSync(secret, path)],
  [
    'a link to an envelope of it',
    (path, secret) => [sign(directory), cpSync(path, secret), rmSync(path), symlinkSync(secret, path)],
  ],
  ['no envelope', (path, secret) => cpSync(secret, path)],
  [
    'the signature of another',
    (path) => [sign(artifact('other', 'sha256:two')), cpSync(file(join(root, 'other')), path)],
  ],
  ['a directory', (path) => mkdirSync(path)],
])('what lies in its place is not kept where it is %s', async (_, lay) => {
  const secret = join(root, 'secret');
  writeFileSync(secret, 'never-to-be-told');
  lay(file(directory), secret);
  await writeArtifact(directory, (partial) => {
    writeFileSync(join(partial, 'adapter.safetensors'), 'weights');
    sealArtifact(partial, { kind: 'Adapter', madeFrom: { emulator: 'sha256:one' }, hyperparameters: {} });
  });
  expect(readdirSync(directory).sort()).toEqual(['adapter.safetensors', 'manifest.json']);
});

it.each<[string, string]>([
  ['listed by a manifest as its file', signatureName],
  ['in a directory of that name', `${signatureName}/more`],
])('%s it makes no artifact', (_, path) => {
  if (path.includes('/')) mkdirSync(file(directory));
  writeFileSync(join(directory, path), 'anything');
  if (!path.includes('/')) {
    const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
    manifest.files.push({ path, sizeBytes: 8, sha256: '0'.repeat(64) });
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  }
  expect(() => openArtifact(directory)).toThrow(
    path.includes('/') ? 'is not in the manifest' : 'is there twice',
  );
});

it('that nobody asks for is not read, whatever it is', () => {
  writeFileSync(file(directory), 'x'.repeat(1 << 20));
  openArtifact(directory);
  rmSync(file(directory));
  symlinkSync('/dev/zero', file(directory));
  openArtifact(directory);
});

/** What an attacker, or a mistake, leaves at an artifact that was signed by its owner; the others' keys are theirs. */
const attacks: [what: string, attack: () => void, words: string][] = [
  ['nothing', () => rmSync(file(directory)), 'is not signed: it holds no manifest.dsse.json'],
  [
    'one by another key',
    () => [rmSync(file(directory)), sign(directory, another)],
    'no signature in it is by this key',
  ],
  [
    'one with a bit changed',
    () => {
      const envelope = JSON.parse(readFileSync(file(directory), 'utf8'));
      const bytes = Buffer.from(envelope.signatures[0].sig, 'base64');
      bytes[20]! ^= 1;
      envelope.signatures[0].sig = bytes.toString('base64');
      writeFileSync(file(directory), JSON.stringify(envelope));
    },
    'no signature in it is by this key',
  ],
  [
    'its own over another payload',
    () => {
      const text = readFileSync(file(directory), 'utf8');
      const envelope = JSON.parse(text);
      envelope.payload = Buffer.from(
        Buffer.from(envelope.payload, 'base64').toString().replace('"Adapter"', '"Model"'),
      ).toString('base64');
      writeFileSync(file(directory), JSON.stringify(envelope));
    },
    'no signature in it is by this key',
  ],
  [
    'that of another artifact of the same owner, for another bundle',
    () => {
      const other = artifact('other', 'sha256:two');
      sign(other);
      cpSync(file(other), file(directory));
    },
    'is the signature of another artifact, sha256:',
  ],
  [
    'one of the same digest as another kind',
    () => signAs({ kind: 'Model' }),
    'is the signature of an artifact of kind Model, and this is of kind Adapter',
  ],
  [
    'one of something else by its type',
    () => signAs({}, 'application/json'),
    'is a signature of something else',
  ],
  ['one of two subjects', () => signAs({ subjects: 2 }), 'is a signature of something else'],
  ['one with another predicate', () => signAs({ predicateType: 'x' }), 'is a signature of something else'],
  ['a signed text', () => signText('hello'), 'is not JSON'],
  [
    'a signed statement that says a thing twice',
    () => signText('{"subject":[],"subject":[]}'),
    'has a name twice',
  ],
  [
    'a file without end',
    () => writeFileSync(file(directory), 'x'.repeat(1 << 17)),
    'is longer than 65536 bytes',
  ],
  [
    'a device',
    () => {
      rmSync(file(directory));
      symlinkSync('/dev/zero', file(directory));
    },
    'is no plain file',
  ],
];

function signAs(
  {
    kind = 'Adapter',
    subjects = 1,
    predicateType = 'https://offsite-tuning.dev/artifact/v1',
    predicate = { kind } as object,
  },
  type?: string,
  by = owner,
): void {
  const sha256 = subjectOf(directory).digest.slice('sha256:'.length);
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: Array(subjects).fill({ name: 'manifest.json', digest: { sha256 } }),
    predicateType,
    predicate,
  };
  signText(JSON.stringify(statement), type, by);
}

function signText(text: string, type = 'application/vnd.in-toto+json', { privateKey } = owner): void {
  writeFileSync(file(directory), envelopeOf({ type, body: Buffer.from(text) }, privateKey));
}

it.each(attacks)('%s in place of its owner’s signature is refused', (_, attack, words) => {
  sign(directory);
  attack();
  expect(() => check(directory, [owner.publicKey])).toThrow(
    expect.objectContaining({ reason: 'BadModel', message: expect.stringContaining(words) }),
  );
});

/** What cosign v3.1.3 has made: attest-blob --predicate '{"kind":"Adapter"}' --type https://offsite-tuning.dev/artifact/v1. */
const cosigns = {
  publicKey: `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEc3TV+nFmde/qWPYIJHQKmXEEXc8S
YXwIzOi4e0Wz5BR0s3nnsWHg43elC/tHcwBCHVkXtG7YOg4T2cxtWOAcBg==
-----END PUBLIC KEY-----`,
  payload:
    'eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjAuMSIsICJzdWJqZWN0IjpbeyJuYW1lIjoibWFuaWZlc3QuanNvbiIsICJkaWdlc3QiOnsic2hhMjU2IjoiNGU5YTNjYTE5NmU1Y2FiNzU0ZDFiYzI2YWFlYzE4ZDY3YmU2ZGU5MzIxYzQ5NDRmODhhMGQ4ZTEyM2MzNWRhNCJ9fV0sICJwcmVkaWNhdGVUeXBlIjoiaHR0cHM6Ly9vZmZzaXRlLXR1bmluZy5kZXYvYXJ0aWZhY3QvdjEiLCAicHJlZGljYXRlIjp7ImtpbmQiOiJBZGFwdGVyIn19',
  sig: 'MEQCIBmMNI5Bnj/7lGrnBFdEohiumQCbaRYOy+URjckU2P/QAiAU/Z8IUIGoxFUo2JyIl5ThikQ0U0psg5NMu38J2HV8kg==',
};

it('that cosign has made of the manifest is taken: the key may lie where only cosign reaches it', () => {
  const path = artifact('cosigned', 'sha256:x');
  const { payload, sig } = cosigns;
  const envelope = { payload, payloadType: 'application/vnd.in-toto+json', signatures: [{ keyid: '', sig }] };
  writeFileSync(file(path), JSON.stringify(envelope));
  const key = createPublicKey(cosigns.publicKey);
  expect(check(path, [owner.publicKey, key])).toBe(key);
  // Ours stands beside it, over the statement as cosign wrote it.
  sign(path);
  for (const one of [owner.publicKey, key]) expect(check(path, [one])).toBe(one);
  expect(JSON.parse(readFileSync(file(path), 'utf8'))).toMatchObject({
    payload,
    signatures: [{ keyid: '', sig }, {}],
  });
  cpSync(file(path), file(directory));
  expect(() => check(directory, [key])).toThrow('is the signature of another artifact');
});
