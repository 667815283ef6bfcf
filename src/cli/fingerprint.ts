// How a public key is named to people.
import type { KeyObject } from 'node:crypto';
import { sha256 } from '../artifact/index.ts';

/** The sha256 of its SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER | sha256sum` prints it. */
export const fingerprintOf = (key: KeyObject): string => sha256(key.export({ type: 'spki', format: 'der' }));
