// Keys that sign and keys whose signatures are taken: from PEM text, which may be anybody's, to what node:crypto signs by.
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** More than a file of the most public keys takes. */
export const mostKeyBytes = 8192;
/** Of one signer: what is in use, and what is about to be. */
const mostKeys = 8;

/**
 * The private key of a PEM file.
 * @throws Error that says what is wrong with the text, and quotes nothing of it
 */
export function privateKeyOf(text: string): KeyObject {
  const blocks = blocksOf(text);
  const [block] = blocks;
  if (block === undefined) throw new Error(`holds no private key in PEM ${right}`);
  if (blocks.length > 1) throw new Error('holds more than one PEM block; it must be one private key');
  if (/ENCRYPTED/.test(block.label) || /ENCRYPTED/.test(block.text))
    throw new Error(
      `is encrypted, and nobody is here to type its passphrase: write it without one ${right}; whoever reads the Secret can sign, so guard that`,
    );
  if (block.label !== 'PRIVATE KEY')
    throw new Error(
      `is no PKCS#8 private key ${right}; openssl pkcs8 -topk8 -nocrypt makes one of another form`,
    );
  return checked(() => createPrivateKey(block.text), 'private');
}

/**
 * The public keys of a PEM file, none twice: a signature by any of them is taken.
 * @throws Error that says what is wrong with the text, and quotes nothing of it
 */
export function publicKeysOf(text: string): KeyObject[] {
  const blocks = blocksOf(text);
  if (blocks.some(({ label }) => label.includes('PRIVATE')))
    throw new Error('holds a private key; only public keys belong here: use that one no more');
  if (blocks.length === 0 || blocks.some(({ label }) => label !== 'PUBLIC KEY'))
    throw new Error('must hold public keys in PEM ("-----BEGIN PUBLIC KEY-----")');
  if (blocks.length > mostKeys) throw new Error(`holds more than ${mostKeys} keys`);
  const keys = blocks.map((block) => checked(() => createPublicKey(block.text), 'public'));
  if (new Set(keys.map(nameOf)).size < keys.length) throw new Error('holds a key twice');
  return keys;
}

export const publicKeyOf = (privateKey: KeyObject): KeyObject => createPublicKey(privateKey);

/** By which a public key is told from every other: its curve and its point, however the file writes the point. */
export function nameOf(key: KeyObject): string {
  const { crv, x, y = '' } = key.export({ format: 'jwk' });
  return `${crv} ${x} ${y}`;
}

/** ECDSA as ASN.1 DER over SHA-256, or Ed25519: what other tools for such signatures write and read. */
export const signedBy = (key: KeyObject, bytes: Uint8Array): Buffer => sign(hashFor(key), bytes, key);

export const isSignature = (key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean =>
  verify(hashFor(key), bytes, key, signature);

const hashFor = ({ asymmetricKeyType }: KeyObject) => (asymmetricKeyType === 'ec' ? 'sha256' : null);

const right = '("-----BEGIN PRIVATE KEY-----", PKCS#8, not encrypted)';

interface Block {
  readonly label: string;
  readonly text: string;
}

function blocksOf(text: string): Block[] {
  if (text.length > mostKeyBytes) throw new Error(`is longer than ${mostKeyBytes} bytes`);
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g)].map(
    ([block, label = '']) => ({ label, text: block }),
  );
}

/** The library's own message may quote the text. */
function checked(read: () => KeyObject, kind: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch {
    throw new Error(`is damaged: it is no ${kind} key`);
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type !== 'ed25519' && !(type === 'ec' && details?.namedCurve === 'prime256v1'))
    throw new Error(`must be a key for ECDSA on P-256 or for Ed25519`);
  return key;
}
