// Any web server as a read-only store: single files, and artifacts by their manifest.
import { createHash } from 'node:crypto';
import type { Response } from 'undici';
import { badModel } from '../../api/index.ts';
import { innerPaths } from '../inner-path.ts';
import { signatureName } from '../signature/signature.ts';
import { environmentSource, type StoreCredentials } from './credentials.ts';
import { bodyOf, checkRange, documentOf, type HttpClient, httpClientFor, rangeHeaders } from './http.ts';
import { listingIn } from './listing.ts';
import {
  isStoreError,
  type ReadOptions,
  type Store,
  type StoredObject,
  StoreError,
  untold,
} from './store.ts';

/** The environment holds no token for every host. */
export function open(credentials: StoreCredentials, environment: NodeJS.ProcessEnv): HttpsStore {
  const token = credentials.source === environmentSource ? undefined : credentials.values['token'];
  return new HttpsStore(httpClientFor(token, credentials, environment));
}

/** https://HOST/PATH: a file, or an artifact, whose files its manifest.json lists. */
export class HttpsStore implements Store {
  readonly #client: HttpClient;
  /** What manifests say, by object. */
  readonly #digests = new Map<string, string>();

  constructor(client: HttpClient) {
    this.#client = client;
  }

  check(place: string): void {
    this.#client.check(urlOf(place), `https://${place}`);
  }

  async list(place: string, signal: AbortSignal): Promise<StoredObject[]> {
    const manifest = await this.#manifest(place, signal);
    if (Array.isArray(manifest)) return manifest;
    try {
      return [await this.#look(place, '', signal)];
    } catch (error) {
      if (!isStoreError(error, 'Missing')) throw error;
      if (manifest !== undefined) throw badModel(`https://${place}/manifest.json: ${manifest.problem}`);
      return [];
    }
  }

  async read(object: string, { from, version, signal }: ReadOptions) {
    const name = `https://${object}`;
    const sha256 = this.#digests.get(object);
    const isTold = version !== untold;
    if (sha256 === undefined && !isTold && from > 0)
      throw new StoreError('Changed', `${name}: its server does not tell versions, so it is begun again`);
    const headers = rangeHeaders(from, version);
    const response = await this.#client.request(urlOf(object), name, { headers, signal });
    // A manifest's digest decides; else a file must be the one that was looked at.
    if (sha256 === undefined && isTold && versionOf(response) !== version)
      throw new StoreError('Changed', `${name}: was changed while it was read`);
    checkRange(response, from, name);
    return { body: bodyOf(response), checksum: sha256 === undefined ? undefined : { sha256 } };
  }

  /** What a manifest lists. Some servers give any file below a place that is one: what is too long may be that. */
  async #manifest(
    place: string,
    signal: AbortSignal,
  ): Promise<StoredObject[] | { problem: string } | undefined> {
    const object = `${place}/manifest.json`;
    let bytes: Uint8Array | undefined;
    let told: string | undefined;
    try {
      const response = await this.#client.request(urlOf(object), `https://${object}`, { signal });
      told = versionOf(response);
      bytes = await documentOf(response, `https://${object}`);
    } catch (error) {
      // Many servers refuse what they do not have.
      if (isStoreError(error, 'Missing') || isStoreError(error, 'AccessDenied')) return undefined;
      throw error;
    }
    if (bytes === undefined) return { problem: "is longer than 16 MiB; no artifact's is" };
    let listing: ReturnType<typeof listingIn>;
    try {
      listing = listingIn(bytes);
    } catch (error) {
      return { problem: (error as Error).message };
    }
    if (listing === undefined) return undefined;
    const named = listing.files;
    // Before any of them becomes part of an address.
    innerPaths(['manifest.json', signatureName, ...named.map(({ path }) => path)], `https://${object}`);
    const files = named.map(({ path, sizeBytes, sha256 }) => {
      this.#digests.set(`${place}/${path}`, sha256);
      return { path, sizeBytes, version: sha256 };
    });
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (told === undefined) this.#digests.set(object, sha256);
    else this.#digests.delete(object);
    return [...files, { path: 'manifest.json', sizeBytes: bytes.length, version: told ?? sha256 }];
  }

  async #look(object: string, path: string, signal: AbortSignal): Promise<StoredObject> {
    const name = `https://${object}`;
    const response = await this.#client.request(urlOf(object), name, { method: 'HEAD', signal });
    const length = response.headers.get('content-length');
    if (length === null)
      throw new StoreError('StoreUnavailable', `${name}: its server does not say how long it is`);
    return { path, sizeBytes: Number(length), version: versionOf(response) ?? untold };
  }
}

function urlOf(object: string): URL {
  return new URL(
    `https://${object
      .split('/')
      .map((part, i) => (i === 0 ? part : encodeURIComponent(part)))
      .join('/')}`,
  );
}

/** What changes when the file does; undefined where the server tells nothing that would. */
function versionOf({ headers }: Response): string | undefined {
  const tag = headers.get('etag');
  if (tag !== null) return tag;
  const modified = headers.get('last-modified');
  // It is in seconds: what was written in the one in which it was sent may be another file by its end (RFC 9110, 8.8.2.2).
  const age = Date.parse(headers.get('date') ?? '') - Date.parse(modified ?? '');
  return modified !== null && age >= 1000 ? modified : undefined;
}
