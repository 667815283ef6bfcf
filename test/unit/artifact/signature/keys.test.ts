/** Keys as people bring them: the right ones in each form, and the wrong ones by what is wrong with them. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  isSignature,
  nameOf,
  privateKeyOf,
  publicKeyOf,
  publicKeysOf,
  signedBy,
} from '../../../../src/artifact/signature/keys.ts';

const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const ed = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs8 = (key: KeyObject, options: object = {}) =>
  key.export({ type: 'pkcs8', format: 'pem', ...options }) as string;
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;

it.each([
  ['ECDSA P-256', ec],
  ['Ed25519', ed],
])('%s: a private key signs, and its public key, alone or among others, knows the signature', (_, pair) => {
  const key = privateKeyOf(`some words before\r\n${pkcs8(pair.privateKey).replaceAll('\n', '\r\n')}`);
  const signature = signedBy(key, Buffer.from('bytes'));
  const keys = publicKeysOf(`${spki(ec.publicKey)}\n${spki(ed.publicKey)}`);
  const own = keys.filter((candidate) => isSignature(candidate, Buffer.from('bytes'), signature));
  expect(own.map(nameOf)).toEqual([nameOf(publicKeyOf(key))]);
  expect(keys.some((candidate) => isSignature(candidate, Buffer.from('byte'), signature))).toBe(false);
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(1024, 0x30)])
    expect(keys.some((candidate) => isSignature(candidate, Buffer.from('bytes'), bytes))).toBe(false);
});

/** The same key with the x of its point and the sign of its y alone (RFC 5480, SEC 1 2.3.3). */
function compressed(key: KeyObject): string {
  const point = key.export({ type: 'spki', format: 'der' }).subarray(-65);
  const head = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
  const der = Buffer.concat([head, Buffer.of(2 + (point[64]! & 1)), point.subarray(1, 33)]);
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`;
}

it('a key has one name in both encodings of its point', () => {
  const [whole, short] = [spki(ec.publicKey), compressed(ec.publicKey)].map((text) => publicKeysOf(text)[0]!);
  expect(nameOf(short!)).toBe(nameOf(whole!));
  const another = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  expect(new Set([ec, ed, another].map(({ publicKey }) => nameOf(publicKey))).size).toBe(3);
});

const passphrase = { cipher: 'aes-256-cbc', passphrase: 'never-to-be-shown' };
const cosigns = pkcs8(ec.privateKey).replaceAll('PRIVATE KEY', 'ENCRYPTED SIGSTORE PRIVATE KEY');

it.each<[string, string, string]>([
  ['nothing', '', 'holds no private key in PEM ("-----BEGIN PRIVATE KEY-----", PKCS#8, not encrypted)'],
  ['a file without end', 'x'.repeat(8193), 'is longer than 8192 bytes'],
  ['an encrypted one', pkcs8(ec.privateKey, passphrase), 'is encrypted, and nobody is here to type'],
  ['one that cosign has encrypted', cosigns, 'is encrypted, and nobody is here to type'],
  [
    'one in another form',
    ec.privateKey.export({ type: 'sec1', format: 'pem' }) as string,
    'is no PKCS#8 private key ("-----BEGIN PRIVATE KEY-----", PKCS#8, not encrypted); openssl pkcs8 -topk8 -nocrypt makes one',
  ],
  [
    'one encrypted in another form',
    ec.privateKey.export({ type: 'sec1', format: 'pem', ...passphrase }) as string,
    'is encrypted, and nobody is here to type',
  ],
  ['a public key', spki(ec.publicKey), 'is no PKCS#8 private key'],
  ['two', pkcs8(ec.privateKey) + pkcs8(ed.privateKey), 'holds more than one PEM block'],
  ['one of RSA', pkcs8(rsa.privateKey), 'must be a key for ECDSA on P-256 or for Ed25519'],
  ['one of another curve', pkcs8(other.privateKey), 'must be a key for ECDSA on P-256 or for Ed25519'],
  [
    'a damaged one',
    pkcs8(ec.privateKey).replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'),
    'is damaged: it is no private key',
  ],
])('as a private key, %s is refused, and nothing of it is told', (_, text, words) => {
  const said = messageOf(() => privateKeyOf(text));
  expect(said).toContain(words);
  expect(said).not.toContain('never-to-be-shown');
  for (const line of text.split(/\r?\n/))
    if (line.length > 30 && !line.startsWith('--')) expect(said).not.toContain(line);
});

it.each<[string, string, string]>([
  ['nothing', '', 'must hold public keys in PEM ("-----BEGIN PUBLIC KEY-----")'],
  [
    'a private key',
    pkcs8(ec.privateKey),
    'holds a private key; only public keys belong here: use that one no more',
  ],
  ['a private key beside', spki(ec.publicKey) + pkcs8(ec.privateKey), 'holds a private key'],
  [
    'a certificate',
    spki(ec.publicKey).replaceAll('PUBLIC KEY', 'CERTIFICATE'),
    'must hold public keys in PEM',
  ],
  ['one twice', spki(ec.publicKey) + spki(ed.publicKey) + spki(ec.publicKey), 'holds a key twice'],
  ['one twice, in two encodings', spki(ec.publicKey) + compressed(ec.publicKey), 'holds a key twice'],
  ['one of RSA', spki(rsa.publicKey), 'must be a key for ECDSA on P-256 or for Ed25519'],
  ['one of another curve', spki(other.publicKey), 'must be a key for ECDSA on P-256 or for Ed25519'],
  ['more than anybody has', spki(ed.publicKey).repeat(9), 'holds more than 8 keys'],
  ['a damaged one', spki(ec.publicKey).replace(/\n.{20}/, '\nAAAAAAAAAAAAAAAAAAAA'), 'is damaged'],
])('as public keys, %s is refused', (_, text, words) => {
  expect(messageOf(() => publicKeysOf(text))).toContain(words);
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect((error as { code?: string }).code).toBeUndefined();
    return (error as Error).message;
  }
  throw new Error('was taken');
}
