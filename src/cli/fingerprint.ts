// How a public key is named to people.
import type { KeyObject } from 'node:crypto';
import { nameOf, sha256 } from '../artifact/index.ts';

/** The sha256 of its SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER | sha256sum` prints it. */
export const fingerprintOf = (key: KeyObject): string => sha256(Buffer.from(nameOf(key), 'base64'));
