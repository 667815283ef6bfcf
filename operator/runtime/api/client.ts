// The Kubernetes client: requests on objects of any kind, sent again where the server asks for that.
import { pause } from '../pause.ts';
import { RateLimit } from '../rate-limit.ts';
import { ApiError, apiErrorFrom, lacksRight, secondsIn } from './api-error.ts';
import type {
  ApplyOptions,
  ClientOptions,
  CreateOptions,
  DeleteOptions,
  ListOptions,
  RequestOptions,
  WatchOptions,
} from './client-options.ts';
import { levels, parseWithoutHugeParts } from './huge-parts.ts';
import {
  apiVersionOf,
  type KubeObject,
  keyFrom,
  type ObjectList,
  pathOf,
  type ResourceType,
} from './objects.ts';
import { ServerClock } from './server-clock.ts';
import { type Answer, type Credentials, KubeTransport, type Request, type Transport } from './transport.ts';
import { type WatchEvent, watchEvents } from './watch.ts';

/**
 * The Kubernetes API with raw JSON objects; of huge ones, fields are left out (`huge-parts.ts`).
 * Every method throws ApiError: what was asked, HTTP status (0: no answer), reason, Retry-After. 429 and 5xx with
 * Retry-After are tried again for `patienceMilliseconds`; everything else is the caller's.
 * @example
 * const client = new ApiClient(kubeConfig);
 * await client.apply(jobs, job, { fieldManager: 'offsite-operator' });
 */
export class ApiClient {
  readonly #transport: Transport;
  readonly #options: ClientOptions;
  readonly #writeLimit: RateLimit | undefined;
  readonly #clock = new ServerClock();

  constructor(kubeConfig: Credentials, options: ClientOptions = {}) {
    this.#options = options;
    this.#transport = options.transport ?? new KubeTransport(kubeConfig);
    this.#writeLimit = options.writeLimit && new RateLimit(options.writeLimit);
  }

  /** The API server's time, in milliseconds since the epoch. */
  now(): number {
    return this.#clock.now();
  }

  async get<T extends KubeObject>(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    { signal }: RequestOptions = {},
  ): Promise<T> {
    return await this.#json<T>('get', type, keyFrom(namespace, name), {
      method: 'GET',
      path: pathOf(type, namespace, name),
      signal,
    });
  }

  /**
   * One page of a list, with `limit` and `continue`; the whole list without them. A page of more than 4 MiB is asked for again by
   * half of its objects: `limit` bounds their number only.
   */
  async list<T extends KubeObject>(type: ResourceType, options: ListOptions = {}): Promise<ObjectList<T>> {
    for (let limit = options.limit; ; limit = Math.floor(limit / 2)) {
      try {
        return await this.#page<T>(type, { ...options, ...(limit !== undefined && { limit }) });
      } catch (error) {
        const isTooLarge = error instanceof ApiError && error.reason === 'TooLarge';
        if (!isTooLarge || limit === undefined || limit <= 1) throw error;
      }
    }
  }

  async #page<T extends KubeObject>(type: ResourceType, options: ListOptions): Promise<ObjectList<T>> {
    const { namespace, labelSelector, fieldSelector, limit = 0, signal } = options;
    const query = queryOf({
      ...{ labelSelector, fieldSelector, continue: options.continue },
      ...(limit > 0 && { limit }),
    });
    const path = pathOf(type, namespace) + query;
    const request = { method: 'GET', path, signal, ...(limit > 1 && { mostBytes: mostOfPage }) } as const;
    const list = await this.#json<ObjectList<T>>('list', type, namespace ?? '', request, levels.inList);
    // The items of a list carry neither apiVersion nor kind.
    const apiVersion = apiVersionOf(type);
    const items = list.items.map((item) => ({ ...item, apiVersion, kind: type.kind }));
    return { items, metadata: list.metadata };
  }

  async create<T extends KubeObject>(
    type: ResourceType,
    object: T,
    { fieldManager, fieldValidation, signal }: CreateOptions = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return await this.#json<T>('create', type, keyFrom(namespace, name), {
      method: 'POST',
      path: pathOf(type, needed(type, namespace, name)) + queryOf({ fieldManager, fieldValidation }),
      body: JSON.stringify(object),
      signal,
    });
  }

  /** Replaces the whole object; with a resourceVersion in it, only that version (Conflict otherwise). */
  async replace<T extends KubeObject>(
    type: ResourceType,
    object: T,
    options: RequestOptions = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return await this.#json<T>('update', type, keyFrom(namespace, name), {
      method: 'PUT',
      path: pathOf(type, namespace, name),
      body: JSON.stringify(object),
      signal: options.signal,
    });
  }

  /** Server-side apply: creates or changes the object so that the stated fields are as stated. */
  async apply<T extends KubeObject>(
    type: ResourceType,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T> {
    return await this.#apply<T>(type, object, options);
  }

  /** Server-side apply of the status subresource; the object must exist (NotFound otherwise). */
  async applyStatus<T extends KubeObject>(
    type: ResourceType,
    object: KubeObject,
    options: ApplyOptions,
  ): Promise<T> {
    return await this.#apply<T>(type, object, options, 'status');
  }

  /** JSON merge patch; for the few objects that server-side apply cannot serve. */
  async merge<T extends KubeObject>(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    patch: object,
    { signal, subresource }: RequestOptions & { subresource?: string } = {},
  ): Promise<T> {
    return await this.#json<T>('patch', type, keyFrom(namespace, name), {
      method: 'PATCH',
      path: pathOf(type, namespace, name, subresource),
      contentType: 'application/merge-patch+json',
      body: JSON.stringify(patch),
      signal,
    });
  }

  /** An object that is not there is NotFound; a precondition that does not hold is Conflict. */
  async delete(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    { signal, ...options }: DeleteOptions = {},
  ): Promise<void> {
    await this.#json('delete', type, keyFrom(namespace, name), {
      method: 'DELETE',
      path: pathOf(type, namespace, name),
      body: JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', ...options }),
      signal,
    });
  }

  /** Changes as they come, with bookmarks. Ends when the server ends it; throws ApiError when it breaks. */
  async *watch<T extends KubeObject>(
    type: ResourceType,
    options: WatchOptions = {},
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const { namespace, labelSelector, resourceVersion, timeoutSeconds, silenceMilliseconds, signal } =
      options;
    const query = { labelSelector, resourceVersion, timeoutSeconds, watch: true, allowWatchBookmarks: true };
    const what = `watch ${type.kind} ${namespace ?? ''}`.trimEnd();
    const response = await this.#transport.stream({
      method: 'GET',
      path: pathOf(type, namespace) + queryOf(query),
      what,
      signal,
      timeoutMilliseconds: this.#timeout,
    });
    this.#count('watch', type, response.statusCode ?? 0);
    yield* watchEvents<T>(response, { what, silenceMilliseconds, signal });
  }

  /** Closes idle connections. */
  close(): void {
    this.#transport.close();
  }

  get #timeout(): number {
    return this.#options.timeoutMilliseconds ?? 30_000;
  }

  async #apply<T extends KubeObject>(
    type: ResourceType,
    object: KubeObject,
    { fieldManager, force, signal }: ApplyOptions,
    subresource?: string,
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return await this.#json<T>('apply', type, keyFrom(namespace, name), {
      method: 'PATCH',
      path: pathOf(type, namespace, name, subresource) + queryOf({ fieldManager, force }),
      contentType: 'application/apply-patch+yaml',
      body: JSON.stringify(object),
      signal,
    });
  }

  async #json<T>(
    verb: string,
    type: ResourceType,
    key: string,
    request: Omit<Request, 'what' | 'timeoutMilliseconds'>,
    level: number = levels.object,
  ): Promise<T> {
    const what = `${verb} ${type.kind} ${key}`.trimEnd();
    const answer = await this.#patiently(verb, type, {
      ...request,
      what,
      timeoutMilliseconds: this.#timeout,
    });
    if (answer.status < 200 || answer.status > 299) throw apiErrorFrom(what, answer);
    try {
      return parseWithoutHugeParts(answer.body, level) as T;
    } catch (cause) {
      throw new ApiError(`${what}: the answer is no JSON`, {
        status: answer.status,
        reason: 'BadAnswer',
        cause,
      });
    }
  }

  /** Sends; while the server asks to come back later, waits as long as it says, and sends again. */
  async #patiently(verb: string, type: ResourceType, request: Request): Promise<Answer> {
    const giveUpAt = performance.now() + (this.#options.patienceMilliseconds ?? 20_000);
    while (true) {
      const isWrite = request.method !== 'GET';
      if (isWrite) await this.#writeLimit?.take(request.signal);
      const beforeSend = isWrite ? this.#options.beforeWrite : undefined;
      const answer = await this.#timed(verb, type, { ...request, beforeSend });
      const later = answer.status === 429 || answer.status >= 500 ? secondsIn(answer.retryAfter) : undefined;
      if (later === undefined || performance.now() + later * 1000 > giveUpAt) return answer;
      await pause(Math.max(later * 1000, 50), request.signal);
      request.signal?.throwIfAborted();
    }
  }

  async #timed(verb: string, type: ResourceType, request: Request): Promise<Answer> {
    const start = performance.now();
    const sentAt = this.#clock.local();
    let code = 0;
    try {
      const answer = await this.#transport.send(request);
      code = answer.status;
      if (lacksRight(answer)) this.#options.metrics?.rightsMissing.labels(verb, type.kind).inc();
      this.#clock.heard(answer.date, sentAt);
      return answer;
    } finally {
      this.#count(verb, type, code);
      this.#options.metrics?.requestSeconds
        .labels(verb, type.kind)
        .observe((performance.now() - start) / 1000);
    }
  }

  #count(verb: string, { kind }: ResourceType, code: number): void {
    this.#options.metrics?.requests.labels(verb, kind, String(code)).inc();
  }
}

/** Ten objects of 400 kB; what is usual has some 10 kB. Several lists are read at the same time. */
const mostOfPage = 4 * 2 ** 20;

function needed(type: ResourceType, namespace: string | undefined, name: string): string | undefined {
  if (type.namespaced && !namespace) throw new Error(`${type.kind} ${name}: no namespace`);
  return namespace;
}

function queryOf(parameters: Record<string, string | number | boolean | undefined>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]))}`;
}
