// The Hugging Face Hub as a read-only store: a repository's files, pinned to one commit.
import type { Response } from 'undici';
import { z } from 'zod';
import { listingBounds, listOf, parseJson } from '../../api/index.ts';
import { checkCount } from '../inner-path.ts';
import { signatureName } from '../signature/signature.ts';
import { hubEndpointOf, type StoreCredentials } from './credentials.ts';
import { bodyOf, checkRange, documentOf, type HttpClient, httpClientFor, rangeHeaders } from './http.ts';
import { listingIn } from './listing.ts';
import { isStoreError, type ReadOptions, type Store, type StoredObject, StoreError } from './store.ts';

/** Ids of git objects: of a small file its blob, of a large one the pointer to it, of a revision its commit. */
const gitId = /^[0-9a-f]{40}$/;
const sha256 = /^[0-9a-f]{64}$/;
const revisionSchema = z.object({ sha: z.string().regex(gitId) });
const size = z.int().nonnegative();
const treeSchema = listOf(
  z.object({
    type: z.string(),
    path: z.string(),
    size: size.optional(),
    oid: z.string().regex(gitId),
    lfs: z.object({ oid: z.string().regex(sha256), size }).nullish(),
  }),
);
type TreeFile = z.output<typeof treeSchema>[number] & {
  /** Its path from the place that is meant. */
  inside: string;
};

/** A repository may hold more than what is meant of it, but not pages without end: the hub's have up to 1,000 files. */
const mostPages = 200;

/** A repository of the hub, and what of it is meant. */
interface HubPlace {
  /** `models` or `datasets`, as its API calls them. */
  api: 'models' | 'datasets';
  repository: string;
  revision: string;
  /** Empty for the repository itself. */
  path: string;
}

export function open(credentials: StoreCredentials, environment: NodeJS.ProcessEnv): HubStore {
  const { values } = credentials;
  const token = values['token'] ?? values['HF_TOKEN'];
  return new HubStore(httpClientFor(token, credentials, environment), hubEndpointOf(credentials));
}

/**
 * hf://[datasets/]OWNER/NAME[@REVISION][/PATH]: a repository in the hub's layout. Of a whole repository come the files that
 * a model is made of: safetensors, GGUF, configuration and tokenizer at its top; not the same weights in other formats. Of one that is an
 * emulator or an adapter, what its manifest lists.
 */
export class HubStore implements Store {
  readonly #client: HttpClient;
  readonly #endpoint: string;
  readonly #commits = new Map<string, Promise<string>>();

  constructor(client: HttpClient, endpoint: string) {
    this.#client = client;
    this.#endpoint = endpoint.replace(/\/$/, '');
  }

  check(place: string): void {
    this.#client.check(new URL(this.#endpoint), `hf://${place}`);
  }

  async list(place: string, signal: AbortSignal): Promise<StoredObject[]> {
    const hub = parsePlace(place);
    let files: TreeFile[];
    try {
      files = await this.#files(hub, place, signal);
    } catch (error) {
      if (isStoreError(error, 'Missing')) return [];
      throw error;
    }
    return files.map(({ inside, size, oid, lfs }) => ({
      path: inside,
      sizeBytes: lfs?.size ?? size ?? 0,
      version: lfs?.oid ?? oid,
    }));
  }

  async read(object: string, { from, version, signal }: ReadOptions) {
    const hub = parsePlace(object);
    const response = await this.#request(hub, object, { headers: rangeHeaders(from, ''), signal });
    checkRange(response, from, `hf://${object}`);
    // Versions are what tells the bytes; a commit's files never change.
    const checksum = sha256.test(version) ? { sha256: version } : { gitBlob: version };
    return { body: bodyOf(response), checksum };
  }

  async #request(
    hub: HubPlace,
    object: string,
    options: { headers?: Record<string, string>; signal: AbortSignal },
  ): Promise<Response> {
    const commit = await this.#commit(hub, object, options.signal);
    const prefix = hub.api === 'datasets' ? 'datasets/' : '';
    const path = hub.path.split('/').map(encodeURIComponent).join('/');
    const url = new URL(`${this.#endpoint}/${prefix}${hub.repository}/resolve/${commit}/${path}`);
    return this.#client.request(url, `hf://${object}`, options);
  }

  /** The files that are meant, each with its path from the place. */
  async #files(hub: HubPlace, place: string, signal: AbortSignal): Promise<TreeFile[]> {
    if (hub.path !== '') return this.#tree(hub, place, () => true, signal);
    const files = await this.#tree(hub, place, isOfModel, signal);
    const isThere = files.some(({ inside }) => inside === manifestName);
    const names = isThere ? await this.#namesOfArtifact(hub, place, signal) : undefined;
    // Asked again, so that of what is not meant nothing is held.
    return names === undefined ? files : this.#tree(hub, place, (inside) => names.has(inside), signal);
  }

  /** The files of a repository that is an emulator or an adapter. Beside them the hub has its .gitattributes, and a page of words. */
  async #namesOfArtifact(
    hub: HubPlace,
    place: string,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | undefined> {
    const object = `${place}/${manifestName}`;
    const response = await this.#request({ ...hub, path: manifestName }, object, { signal });
    const bytes = await documentOf(response, `hf://${object}`);
    const { kind, files: listed } = (bytes && manifestOf(bytes)) ?? { files: [] };
    // A released model is one, by the same rule as any other of the hub.
    if (kind !== 'Emulator' && kind !== 'Adapter') return undefined;
    return new Set([manifestName, signatureName, ...listed.map(({ path }) => path)]);
  }

  async #tree(
    hub: HubPlace,
    place: string,
    isMeant: (inside: string) => boolean,
    signal: AbortSignal,
  ): Promise<TreeFile[]> {
    const commit = await this.#commit(hub, place, signal);
    const files: TreeFile[] = [];
    let url: URL | undefined = new URL(
      `${this.#endpoint}/api/${hub.api}/${hub.repository}/tree/${commit}?recursive=true`,
    );
    for (let pages = 1; url !== undefined; pages++) {
      const response = await this.#client.request(url, `hf://${place}`, { signal });
      for (const entry of parsed(treeSchema, await jsonOf(response, place), place)) {
        const inside = pathBelow(entry.path, hub.path);
        if (entry.type !== 'file' || inside === undefined || !isMeant(inside)) continue;
        files.push({ ...entry, inside });
      }
      checkCount(files.length, `hf://${place}`);
      const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
      const following: URL | null | undefined = next === undefined ? undefined : URL.parse(next, url.href);
      // The token would go along.
      if (following === null || (following !== undefined && following.origin !== url.origin))
        throw notAHub(place);
      if (following !== undefined && pages === mostPages)
        throw new StoreError(
          'StoreUnavailable',
          `hf://${place}: its server's file list has more than ${mostPages} pages`,
        );
      url = following;
    }
    return files;
  }

  /** The commit of a revision, asked for once: all files come from the same. */
  #commit({ api, repository, revision }: HubPlace, place: string, signal: AbortSignal): Promise<string> {
    const key = `${api}/${repository}@${revision}`;
    const known = this.#commits.get(key);
    if (known !== undefined) return known;
    const url = new URL(
      `${this.#endpoint}/api/${api}/${repository}/revision/${encodeURIComponent(revision)}`,
    );
    const commit = this.#client
      .request(url, `hf://${place}`, { signal })
      .then(async (response) => parsed(revisionSchema, await jsonOf(response, place), place).sha);
    this.#commits.set(key, commit);
    commit.catch(() => this.#commits.delete(key));
    return commit;
  }
}

function parsePlace(place: string): HubPlace {
  const parts = place.split('/');
  const api = parts[0] === 'datasets' ? 'datasets' : 'models';
  const [owner = '', nameAtRevision = '', ...path] = api === 'datasets' ? parts.slice(1) : parts;
  const [name = '', revision = 'main'] = nameAtRevision.split('@');
  return { api, repository: `${owner}/${name}`, revision, path: path.join('/') };
}

/** A file's path from a place that is it, or a folder above it; undefined for any other. */
function pathBelow(path: string, place: string): string | undefined {
  if (place === '') return path;
  if (path === place) return '';
  return path.startsWith(`${place}/`) ? path.slice(place.length + 1) : undefined;
}

const manifestName = 'manifest.json';

const isOfModel = (inside: string) =>
  !inside.includes('/') && /\.(json|safetensors|gguf|model|txt|jinja)$/.test(inside);

/** Undefined where it is none of an artifact. */
function manifestOf(bytes: Uint8Array): ReturnType<typeof listingIn> {
  try {
    return listingIn(bytes);
  } catch {
    return undefined;
  }
}

/** Undefined where it is none, or too long for a page, in bytes or in values. */
async function jsonOf(response: Response, place: string): Promise<unknown> {
  const bytes = await documentOf(response, `hf://${place}`);
  try {
    return bytes === undefined ? undefined : parseJson(bytes, listingBounds);
  } catch {
    return undefined;
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, place: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw notAHub(place);
}

const notAHub = (place: string) =>
  new StoreError('StoreUnavailable', `hf://${place}: its server does not answer as a hub does`);
