// S3-compatible object storage as a store: multipart uploads, conditional writes, checksums beside objects.
import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { addAbortSignal, Readable } from 'node:stream';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { badSpec } from '../../api/index.ts';
import { checkCount } from '../inner-path.ts';
import { type StoreCredentials, s3EndpointOf, s3RegionOf } from './credentials.ts';
import { type Proxies, proxiesFor, proxiesOf, whyUnreached } from './proxies.ts';
import { answerLimits, boundedBody, knownCode, withinTime, wrongKeys } from './s3-answers.ts';
import {
  isStoreError,
  type Outgoing,
  type ReadOptions,
  type StoredObject,
  StoreError,
  untold,
  type WritableStore,
  type WriteCondition,
  type Written,
} from './store.ts';

const mebibyte = 2 ** 20;
const leastPart = 8 * mebibyte;
const mostParts = 10_000;
const mostDeleted = 1000;
/** What is longer is no text of ours. */
const mostText = 64 * 1024;
const listWithin = 600_000;
/** A text with all its tries: less than a pod has from SIGTERM to its end. */
const textWithin = 30_000;
/** Beside the sha256, under which objects of any version have it. */
const writerKey = 'offsite-writer';
/** A server gives up to 1,000 objects a page. */
const mostPages = 200;

export const open = (credentials: StoreCredentials, environment: NodeJS.ProcessEnv): S3Store =>
  new S3Store(credentials, proxiesOf(environment));

/** Any S3: the SDK signs, retries and cuts uploads into parts; a custom endpoint is spoken to path-style. */
export class S3Store implements WritableStore {
  readonly #client: S3Client;
  /** Whose credentials these are, for messages. */
  readonly #opener: string;
  /** What to say of a code with which the server was not reached. */
  readonly #why: (code: string) => string;
  readonly #textWithin: number;

  constructor(
    credentials: StoreCredentials,
    proxies: Proxies,
    limits = { textWithin, answers: answerLimits },
  ) {
    this.#textWithin = limits.textWithin;
    const { values, source, again } = credentials;
    const keys = keysIn(values);
    const endpoint = s3EndpointOf(credentials);
    this.#opener = source;
    const own = endpoint === undefined ? proxies : proxiesFor(new URL(endpoint), proxies);
    this.#why = (code) => whyUnreached(code, endpoint?.startsWith('http:') ? 'http:' : 'https:', own);
    this.#client = new S3Client({
      region: s3RegionOf(credentials),
      ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
      // Without keys the SDK looks where it always does: profiles, a service account's role.
      ...(keys && { credentials: again ? renewed(keys, again) : keys }),
      maxAttempts: 6,
      // Our own sha256 goes with every object; not every server knows the newer checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000, ...agentsFor(own) },
    });
    const { requestHandler } = this.#client.config;
    requestHandler.handle = withinTime(requestHandler.handle.bind(requestHandler), limits.answers);
    this.#client.middlewareStack.add(
      (next, { commandName }) =>
        async (request) => {
          const result = await next(request);
          const response = result.response as { body?: unknown; statusCode: number };
          const isObject = commandName === 'GetObjectCommand' && response.statusCode < 300;
          if (!isObject && response.body instanceof Readable)
            response.body = boundedBody(response.body, limits.answers);
          return result;
        },
      // Before the SDK's own, which reads the body.
      { step: 'deserialize', priority: 'low', name: 'boundAnswers' },
    );
  }

  async list(place: string, stop: AbortSignal): Promise<StoredObject[]> {
    return await this.#within(listWithin, `s3://${place}`, stop, (signal) => this.#list(place, signal));
  }

  async #list(place: string, signal: AbortSignal): Promise<StoredObject[]> {
    const { bucket, key } = partsOf(place);
    const below = await this.#listBelow(bucket, `${key}/`, signal);
    if (below.length > 0) return below;
    try {
      const { ContentLength, ETag } = await this.#do(place, () =>
        this.#client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal }),
      );
      return [{ path: '', sizeBytes: ContentLength ?? 0, version: versionOf(ETag, place) }];
    } catch (error) {
      if (error instanceof StoreError && error.reason === 'Missing') return [];
      throw error;
    }
  }

  async read(object: string, { from, version, signal }: ReadOptions) {
    const { bucket, key } = partsOf(object);
    const isTold = version !== untold;
    if (!isTold && from > 0)
      throw new StoreError(
        'Changed',
        `s3://${object}: its server does not tell versions, so it is begun again`,
      );
    const wanted = { ...(isTold && { IfMatch: version }), ...(from > 0 && { Range: `bytes=${from}-` }) };
    const { Body, Metadata } = await this.#do(object, () =>
      this.#client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...wanted }), {
        abortSignal: signal,
      }),
    );
    const sha256 = Metadata?.['sha256'];
    return { body: Body as Readable, checksum: sha256 === undefined ? undefined : { sha256 } };
  }

  async write(
    object: string,
    { body, sizeBytes, sha256, writer, condition = 'anyway' }: Outgoing,
    signal: AbortSignal,
  ): Promise<string | undefined | 'unsupported'> {
    const { bucket, key } = partsOf(object);
    const partSize = Math.max(leastPart, Math.ceil(sizeBytes / mostParts / mebibyte) * mebibyte);
    const upload = new Upload({
      client: this.#client,
      params: {
        Bucket: bucket,
        Key: key,
        Body: body,
        ContentLength: sizeBytes,
        Metadata: { sha256, [writerKey]: writer },
        ...conditionsOf(condition),
      },
      partSize,
      queueSize: 4,
    });
    const stop = () => void upload.abort();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await this.#do(object, () =>
        whereItHolds(upload.done().then(({ ETag }) => versionOf(ETag, object))),
      );
    } catch (error) {
      if (condition !== 'anyway' && isStoreError(error, 'Missing')) return undefined;
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async written(object: string, stop: AbortSignal): Promise<Written | undefined> {
    const { bucket, key } = partsOf(object);
    try {
      return await this.#within(this.#textWithin, `s3://${object}`, stop, (signal) =>
        this.#do(object, async () => {
          const head = new HeadObjectCommand({ Bucket: bucket, Key: key });
          const { ETag, Metadata } = await this.#client.send(head, { abortSignal: signal });
          return {
            version: versionOf(ETag, object),
            writer: Metadata?.[writerKey],
            sha256: Metadata?.['sha256'],
          };
        }),
      );
    } catch (error) {
      if (isStoreError(error, 'Missing')) return undefined;
      throw error;
    }
  }

  async remove(objects: readonly string[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < objects.length; start += mostDeleted) {
      const some = objects.slice(start, start + mostDeleted).map(partsOf);
      const { bucket } = some[0]!;
      const Delete = { Objects: some.map(({ key }) => ({ Key: key })), Quiet: true };
      await this.#do(objects[start] as string, async () => {
        const { Errors: failed = [] } = await this.#client.send(
          new DeleteObjectsCommand({ Bucket: bucket, Delete }),
          { abortSignal: signal },
        );
        if (failed[0] === undefined) return;
        const { Key: key, Code: code } = failed[0];
        const named = some.find((asked) => asked.key === key) ?? some[0]!;
        throw new StoreError(
          'AccessDenied',
          `s3://${bucket}/${named.key}: could not be removed (${knownCode(code, 200)})`,
        );
      });
    }
  }

  async readText(object: string, stop?: AbortSignal): Promise<{ text: string; version: string } | undefined> {
    const { bucket, key } = partsOf(object);
    try {
      return await this.#within(this.#textWithin, `s3://${object}`, stop, (signal) =>
        this.#do(object, async () => {
          const get = new GetObjectCommand({ Bucket: bucket, Key: key });
          const { Body, ETag } = await this.#client.send(get, { abortSignal: signal });
          return { text: await textOf(Body as Readable, signal), version: versionOf(ETag, object) };
        }),
      );
    } catch (error) {
      if (isStoreError(error, 'Missing')) return undefined;
      throw error;
    }
  }

  async writeText(
    object: string,
    text: string,
    condition: WriteCondition,
  ): Promise<string | undefined | 'unsupported'> {
    const { bucket, key } = partsOf(object);
    try {
      return await this.#within(this.#textWithin, `s3://${object}`, undefined, (signal) =>
        this.#do(object, () => {
          const put = new PutObjectCommand({
            ...{ Bucket: bucket, Key: key, Body: text },
            ...conditionsOf(condition),
          });
          const sent = this.#client.send(put, { abortSignal: signal });
          return whereItHolds(sent.then(({ ETag }) => versionOf(ETag, object)));
        }),
      );
    } catch (error) {
      if (condition !== 'anyway' && isStoreError(error, 'Missing')) return undefined;
      throw error;
    }
  }

  async #listBelow(bucket: string, prefix: string, signal: AbortSignal): Promise<StoredObject[]> {
    const objects: StoredObject[] = [];
    let token: string | undefined;
    for (let pages = 0; pages < mostPages; pages++) {
      const page = await this.#do(`${bucket}/${prefix}`, () =>
        this.#client.send(
          new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }),
          { abortSignal: signal },
        ),
      );
      for (const { Key = '', Size = 0, ETag } of page.Contents ?? []) {
        // Some tools make empty objects that stand for directories.
        if (Key.endsWith('/')) continue;
        if (!Key.startsWith(prefix)) throw notAsAsked(`${bucket}/${prefix}`, 'ListObjectsV2');
        objects.push({
          path: Key.slice(prefix.length),
          sizeBytes: Size,
          version: versionOf(ETag, `${bucket}/${prefix}`),
        });
      }
      checkCount(objects.length, `s3://${bucket}/${prefix}`);
      // Some servers write an empty one where the list is whole.
      token = page.NextContinuationToken || undefined;
      if (token !== undefined) continue;
      // As one answers that knows the list of before alone, whose next page is asked for in another way.
      if (page.IsTruncated) throw notAsAsked(`${bucket}/${prefix}`, 'a list that is cut off, ListObjectsV2');
      return objects;
    }
    throw new StoreError(
      'StoreUnavailable',
      `s3://${bucket}/${prefix}: its server's list has more than ${mostPages} pages`,
    );
  }

  /** Ends when it is stopped or late, whatever the SDK still reads of an answer. */
  async #within<T>(
    milliseconds: number,
    name: string,
    stop: AbortSignal | undefined,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    stop?.throwIfAborted();
    const ending = new AbortController();
    const late = new StoreError(
      'StoreUnavailable',
      `${name}: its server takes longer than ${milliseconds / 1000} s`,
    );
    const timer = setTimeout(() => ending.abort(late), milliseconds);
    const stopped = () => ending.abort(stop?.reason);
    stop?.addEventListener('abort', stopped, { once: true });
    const ended = new Promise<never>((_, reject) => {
      ending.signal.addEventListener('abort', () => reject(ending.signal.reason), { once: true });
    });
    try {
      return await Promise.race([ended, action(ending.signal)]);
    } finally {
      clearTimeout(timer);
      stop?.removeEventListener('abort', stopped);
    }
  }

  async #do<T>(place: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw explained(error, place, this.#opener, this.#why);
    }
  }
}

/** A small object's text; empty where it is longer than any of ours, whatever its server said of its length. */
async function textOf(body: Readable, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of addAbortSignal(signal, body) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop breaks the connection off.
    if (bytes > mostText) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An ETag, which goes back to the server in a header. Its quotes belong to it; some servers' lists leave them out. */
function versionOf(tag: string | undefined, place: string): string {
  const version = tag ?? '';
  if (!/^[\x20-\x7e]{0,1024}$/.test(version)) throw notAsAsked(place, 'ETag');
  if (version === '' || version === '""') return untold;
  return version.includes('"') ? version : `"${version}"`;
}

const notAsAsked = (place: string, what: string) =>
  new StoreError('StoreUnavailable', `s3://${place}: its server does not answer as it should (${what})`);

/** The SDK asks through agents that we give it: it knows no proxies. */
function agentsFor({ httpProxy, httpsProxy, noProxy }: Proxies) {
  const proxyEnv = { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy };
  const options = { keepAlive: true, maxSockets: 50, proxyEnv };
  return { httpAgent: new Agent(options), httpsAgent: new TlsAgent(options) };
}

/** The SDK asks again for keys that end within this. */
const askedBefore = 5 * 60_000;
/** A training takes longer than some keys live: those of a Secret are read again after so long. */
const keysKept = 60_000;

interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Gives the keys that there are at the moment; where there are none any more, the last that there were. */
function renewed(first: Keys, again: () => StoreCredentials['values']) {
  let last = first;
  return async () => {
    last = keysIn(again()) ?? last;
    return { ...last, expiration: new Date(Date.now() + askedBefore + keysKept) };
  };
}

function keysIn({
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  AWS_SESSION_TOKEN: sessionToken,
}: StoreCredentials['values']): Keys | undefined {
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
}

/** The SDK's own messages may quote keys and are left out. */
function explained(error: unknown, place: string, opener: string, why: (code: string) => string): unknown {
  if (error instanceof StoreError || !(error instanceof Error) || error.name === 'AbortError') return error;
  const at = `s3://${place}`;
  const { bucket } = partsOf(place);
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  const { name } = error;
  if (wrongKeys.has(name))
    return badSpec(`${at}: its server does not take the credentials of ${opener} (${name}): put them right`);
  if (name === 'NoSuchBucket')
    return badSpec(`${at}: there is no bucket ${bucket} on that server: create it, or name another`);
  if (name === 'PreconditionFailed' || status === 412)
    return new StoreError('Changed', `${at}: was changed while it was read`);
  if (name === 'NoSuchKey' || name === 'NotFound')
    return new StoreError('Missing', `${at}: there is no such object`);
  if (status === 401 || status === 403)
    return new StoreError(
      'AccessDenied',
      `${at}: the credentials of ${opener} do not allow this (${knownCode(name, status)})`,
    );
  const code =
    error instanceof S3ServiceException
      ? knownCode(name, status)
      : ((error as NodeJS.ErrnoException).code ?? name);
  return new StoreError('StoreUnavailable', `${at}: its server does not answer as it should (${why(code)})`);
}

function partsOf(place: string): { bucket: string; key: string } {
  const at = place.indexOf('/');
  return { bucket: place.slice(0, at), key: place.slice(at + 1) };
}

const conditionsOf = (condition: WriteCondition) => {
  if (condition === 'anyway') return {};
  // Never left out: what has no version is written over by nobody.
  return condition === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: condition.over || '""' };
};

/** What came of a write under a condition: the version, undefined where it did not hold, `unsupported` where the server knows none. */
async function whereItHolds(written: Promise<string>): Promise<string | undefined | 'unsupported'> {
  try {
    return await written;
  } catch (error) {
    // Another write was first, is under way, or took it away.
    const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
    if (status === 409 || status === 412) return undefined;
    if (status === 501) return 'unsupported';
    throw error;
  }
}
