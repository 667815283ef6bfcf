// The HTTP client of the read-only stores: safe redirects, bearer tokens for one host, bounded answers.
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { Agent, EnvHttpProxyAgent, fetch, type RequestInit, type Response } from 'undici';
import { badSpec, httpsHostsIn, listingBounds } from '../../api/index.ts';
import type { StoreCredentials } from './credentials.ts';
import { type Proxies, proxiesFor, proxiesOf, proxyOf, whyUnreached } from './proxies.ts';
import { StoreError } from './store.ts';

const mostRedirects = 5;
const headersWithin = 30_000;
/** Of what is read as a whole: manifests, pages of a file list. */
const mostDocumentBytes = listingBounds.bytes;
const documentWithin = 120_000;

export interface HttpRequest {
  method?: 'GET' | 'HEAD';
  headers?: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/**
 * Reads over HTTP with a bearer token: it goes only to the host that it is for, whatever that redirects to. Hosts, those of
 * redirects too, are those that an administrator allows, where there is a list of them; and no redirect leaves TLS. Bytes come
 * as they are: a compressed answer could be of any size.
 */
export class HttpClient {
  readonly #token: string | undefined;
  readonly #source: string;
  readonly #allowed: readonly string[];
  readonly #proxies: Proxies;
  readonly #dispatcher: EnvHttpProxyAgent;
  readonly #direct = new Agent();

  /** @param allowed hosts such as `models.example.com` or `*.example.com`; every host when empty */
  constructor(
    token: string | undefined,
    { source }: Pick<StoreCredentials, 'source'>,
    allowed: readonly string[],
    proxies: Proxies,
  ) {
    this.#token = token;
    this.#source = source;
    this.#allowed = allowed;
    this.#proxies = proxies;
    // Empty, not undefined: else undici would read this process's own variables.
    const { httpProxy = '', httpsProxy = '', noProxy = '' } = proxies;
    this.#dispatcher = new EnvHttpProxyAgent({ httpProxy, httpsProxy, noProxy });
  }

  /**
   * The answer, whose status is 2xx.
   * @param name what is asked for, for messages
   * @throws StoreError, BadSpec for a host that is not allowed
   */
  async request(
    url: URL,
    name: string,
    { method = 'GET', headers = {}, signal }: HttpRequest,
  ): Promise<Response> {
    let at = url;
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      this.check(at, name, url);
      const ownHost = at.origin === url.origin && this.#token !== undefined;
      const response = await this.#fetch(at, name, {
        method,
        headers: {
          'accept-encoding': 'identity',
          ...headers,
          ...(ownHost && { authorization: `Bearer ${this.#token}` }),
        },
        redirect: 'manual',
        signal,
      });
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null)
        return this.#checked(response, name);
      await response.body?.cancel();
      const next = URL.parse(location, at.href);
      if (next === null) throw new StoreError('StoreUnavailable', `${name}: is redirected to no address`);
      at = next;
    }
    throw new StoreError('StoreUnavailable', `${name}: is redirected again and again`);
  }

  /** Waits for the headers only so long; the body may take its time, as long as bytes come. */
  async #fetch(url: URL, name: string, options: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), headersWithin);
    const proxies = proxiesFor(url, this.#proxies);
    try {
      return await fetch(url, {
        ...options,
        // Undici would ask HTTP_PROXY's for https: too where there is no other.
        dispatcher: proxyOf(url.protocol, proxies) === undefined ? this.#direct : this.#dispatcher,
        signal: AbortSignal.any([options.signal, late.signal]),
      });
    } catch (error) {
      if (options.signal.aborted) throw error;
      const cause = (error as { cause?: { code?: unknown } }).cause?.code;
      const code = late.signal.aborted ? 'TIMEOUT' : typeof cause === 'string' ? cause : 'UNKNOWN';
      throw new StoreError(
        'StoreUnavailable',
        `${name}: its server cannot be reached (${whyUnreached(code, url.protocol, proxies)})`,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param asked the address that led there
   * @throws OffsiteError BadSpec for a host that is not allowed, or a way out of TLS
   */
  check(at: URL, name: string, asked = at): void {
    const { hostname, protocol } = at;
    const fits = (pattern: string) =>
      pattern.startsWith('*.') ? hostname.endsWith(pattern.slice(1)) : hostname === pattern;
    if (this.#allowed.length > 0 && !this.#allowed.some(fits)) {
      const host = at === asked ? `the host ${hostname}` : `is redirected to ${hostname}, which`;
      throw badSpec(`${name}: ${host} is not one of those allowed here: ${this.#allowed.join(', ')}`);
    }
    if (protocol !== 'https:' && protocol !== asked.protocol)
      throw badSpec(`${name}: is redirected from ${asked.protocol} to ${protocol}, which is not followed`);
  }

  async #checked(response: Response, name: string): Promise<Response> {
    const encoding = response.headers.get('content-encoding') ?? 'identity';
    if (response.ok && encoding === 'identity') return response;
    await response.body?.cancel();
    const { status } = response;
    if (response.ok)
      throw new StoreError(
        'StoreUnavailable',
        `${name}: its server sends it compressed (Content-Encoding), which it was asked not to`,
      );
    if (status === 404 || status === 410) throw new StoreError('Missing', `${name}: there is no such file`);
    if (status === 412 || status === 416)
      throw new StoreError('Changed', `${name}: was changed while it was read`);
    if (status === 401 || status === 403)
      throw new StoreError(
        'AccessDenied',
        `${name}: the token of ${this.#source} does not allow this (${status})`,
      );
    throw new StoreError('StoreUnavailable', `${name}: its server does not answer as it should (${status})`);
  }
}

/** An answer's bytes. */
export function bodyOf(response: Response): Readable {
  return response.body === null ? Readable.from([]) : Readable.fromWeb(response.body as ReadableStream);
}

/**
 * An answer's bytes, where it is a document.
 * @returns undefined where it is longer than 16 MiB
 * @throws StoreError where it takes its time, or breaks off
 */
export async function documentOf(
  response: Response,
  name: string,
  within = documentWithin,
): Promise<Uint8Array | undefined> {
  const body = bodyOf(response);
  const late = new StoreError('StoreUnavailable', `${name}: its server takes longer than ${within / 1000} s`);
  const timer = setTimeout(() => body.destroy(late), within);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > mostDocumentBytes) return undefined;
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StoreError || (error as Error).name === 'AbortError') throw error;
    throw new StoreError('StoreUnavailable', `${name}: the connection broke while it was read`);
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

/** Asks for the bytes from `from` on, of this version only where the server knows versions. */
export function rangeHeaders(from: number, version: string): Record<string, string> {
  if (from === 0) return {};
  // A weak tag says nothing about bytes.
  const tag = version.startsWith('"') ? { 'if-range': version } : {};
  return { range: `bytes=${from}-`, ...tag };
}

/** @throws StoreError Changed where the server sends another part than was asked for */
export function checkRange(response: Response, from: number, name: string): void {
  const range = response.headers.get('content-range');
  const start = response.status === 206 ? Number(/^bytes (\d+)-/.exec(range ?? '')?.[1]) : 0;
  if (start === from) return;
  void response.body?.cancel();
  throw new StoreError('Changed', `${name}: was changed, or its server sends whole files only`);
}

/**
 * Only to the hosts that an installation names, where it names any.
 * @throws OffsiteError BadSpec for a token that no header can hold, or a proxy that is none; neither is told
 */
export function httpClientFor(
  token: string | undefined,
  credentials: StoreCredentials,
  environment: NodeJS.ProcessEnv,
): HttpClient {
  if (token !== undefined && !/^[\x21-\x7e]*$/.test(token))
    throw badSpec(`the token of ${credentials.source}: must be one word, without blanks and line breaks`);
  return new HttpClient(token, credentials, httpsHostsIn(environment), proxiesOf(environment));
}
