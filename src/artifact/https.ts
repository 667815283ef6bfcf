import type { Response } from 'undici';
import { z } from 'zod';
import { bodyOf, checkRange, type HttpClient, rangeHeaders } from './http.ts';
import { isStoreError, type ReadOptions, type Store, type StoredObject, StoreError } from './store.ts';

const manifestSchema = z.object({
  files: z.array(
    z.object({ path: z.string().min(1), sizeBytes: z.int().nonnegative(), sha256: z.string().length(64) }),
  ),
});

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
    if (manifest !== undefined) return manifest;
    try {
      return [await this.#look(place, '', signal)];
    } catch (error) {
      if (isStoreError(error, 'Missing')) return [];
      throw error;
    }
  }

  async read(object: string, { from, version, signal }: ReadOptions) {
    const name = `https://${object}`;
    const headers = { 'accept-encoding': 'identity', ...rangeHeaders(from, version) };
    const response = await this.#client.request(urlOf(object), name, { headers, signal });
    const sha256 = this.#digests.get(object);
    // A manifest's digest decides; else a file must be the one that was looked at.
    if (sha256 === undefined && versionOf(response) !== version)
      throw new StoreError('Changed', `${name}: was changed while it was read`);
    checkRange(response, from, name);
    return { body: bodyOf(response), checksum: sha256 === undefined ? undefined : { sha256 } };
  }

  async #manifest(place: string, signal: AbortSignal): Promise<StoredObject[] | undefined> {
    const object = `${place}/manifest.json`;
    let text: string;
    let version: string;
    try {
      const headers = { 'accept-encoding': 'identity' };
      const response = await this.#client.request(urlOf(object), `https://${object}`, { headers, signal });
      version = versionOf(response);
      text = await response.text();
    } catch (error) {
      // Many servers refuse what they do not have.
      if (isStoreError(error, 'Missing') || isStoreError(error, 'AccessDenied')) return undefined;
      throw error;
    }
    const parsed = manifestSchema.safeParse(json(text));
    if (!parsed.success) return undefined;
    const files = parsed.data.files.map(({ path, sizeBytes, sha256 }) => {
      if (path.split('/').some((part) => ['', '.', '..'].includes(part)) || path.includes('\\'))
        throw new StoreError('Missing', `https://${object}: names a file outside the artifact`);
      this.#digests.set(`${place}/${path}`, sha256);
      return { path, sizeBytes, version: sha256 };
    });
    return [...files, { path: 'manifest.json', sizeBytes: Buffer.byteLength(text), version }];
  }

  async #look(object: string, path: string, signal: AbortSignal): Promise<StoredObject> {
    const name = `https://${object}`;
    const headers = { 'accept-encoding': 'identity' };
    const response = await this.#client.request(urlOf(object), name, { method: 'HEAD', headers, signal });
    const length = response.headers.get('content-length');
    if (length === null)
      throw new StoreError('StoreUnavailable', `${name}: its server does not say how long it is`);
    return { path, sizeBytes: Number(length), version: versionOf(response) };
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

/** What changes when the file does, as far as the server tells. */
function versionOf({ headers }: Response): string {
  return headers.get('etag') ?? headers.get('last-modified') ?? 'unknown';
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
