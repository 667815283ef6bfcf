// Requests on the wire: connections to one API server, credentials that rotate, deadlines.
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent, type RequestOptions, request as tlsRequest } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { ApiError } from './api-error.ts';

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query string. */
  path: string;
  /** The request in words, for errors: "get Job default/words". */
  what: string;
  body?: string;
  contentType?: string;
  signal?: AbortSignal | undefined;
  /** Called right before it is sent, also when it is sent once more; what it throws is thrown. */
  beforeSend?: (() => void) | undefined;
  /** Until the whole answer is there; for a stream, until its headers are. */
  timeoutMilliseconds: number;
  /** Of the answer's body; a longer one is broken off. */
  mostBytes?: number;
}

export interface Answer {
  status: number;
  retryAfter: string | undefined;
  /** The server's time, as its header has it. */
  date?: string | undefined;
  body: string;
}

/** An object has some 2 MB in etcd at most; written as JSON, a control character of a text has six. */
const longestAnswer = 32 * 2 ** 20;

/** HTTP to one API server, as a kubeconfig describes it. */
export interface Transport {
  /**
   * @throws ApiError with status 0 (Unreachable, Timeout) when no answer comes, with TooLarge when it is longer than it may be;
   *   the signal's reason when it aborts
   */
  send(request: Request): Promise<Answer>;
  /** Resolves with the headers; the body is the caller's to read and to destroy. */
  stream(request: Request): Promise<IncomingMessage>;
  close(): void;
}

/** The part of client-node's KubeConfig that is used here. */
export type Credentials = Pick<KubeConfig, 'getCurrentCluster' | 'applyToHTTPSOptions'>;

/** Credentials are read again after this time, so that rotated tokens and certificates are taken up. */
const credentialsLastMilliseconds = 30_000;

/**
 * Keep-alive HTTP/1.1 with what the kubeconfig's current context says: certificate authority, client certificate, token,
 * token file, exec plugin, proxy, impersonation. In a pod, `KubeConfig.loadFromDefault` reads the service account.
 */
export class KubeTransport implements Transport {
  readonly #config: Credentials;
  readonly #server: URL;
  readonly #agent: Agent | PlainAgent;
  #credentials: { options: Promise<RequestOptions>; readAt: number } | undefined;

  constructor(config: Credentials) {
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig has no cluster for its current context');
    this.#config = config;
    this.#server = new URL(cluster.server);
    // Idle connections go before a load balancer or the server ends them just as they are used again.
    const keep = { keepAlive: true, keepAliveMsecs: 30_000, timeout: 30_000, scheduling: 'lifo' as const };
    this.#agent = this.#server.protocol === 'http:' ? new PlainAgent(keep) : new Agent(keep);
  }

  send(request: Request): Promise<Answer> {
    return this.#within(request, async (deadline) => {
      const response = await this.#open(request, deadline);
      deadline.whenLate((late) => response.destroy(late));
      const status = response.statusCode ?? 0;
      const { what, mostBytes = longestAnswer } = request;
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        length += chunk.length;
        // Leaving the loop ends the connection, too.
        if (length > mostBytes)
          throw new ApiError(`${what}: the answer has more than ${mostBytes} bytes`, {
            status,
            reason: 'TooLarge',
          });
      }
      if (status === 401) this.#credentials = undefined;
      return {
        status,
        retryAfter: response.headers['retry-after'],
        date: response.headers.date,
        body: Buffer.concat(chunks).toString('utf8'),
      };
    });
  }

  stream(request: Request): Promise<IncomingMessage> {
    return this.#within(request, (deadline) => this.#open(request, deadline));
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @throws ApiError for every failure but an abort; what a stale connection lost is sent once more, if that is safe */
  async #within<T>(request: Request, exchange: (deadline: Deadline) => Promise<T>): Promise<T> {
    for (let first = true; ; first = false) {
      const deadline = new Deadline(request);
      try {
        return await exchange(deadline);
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (error instanceof ApiError) throw error;
        // The server closed an idle connection just as it was used again; a creation may have arrived all the same.
        const again = first && error instanceof StaleConnection && request.method !== 'POST';
        if (!again) throw failureOf(request, error);
      } finally {
        deadline.clear();
      }
    }
  }

  async #open(request: Request, deadline: Deadline): Promise<IncomingMessage> {
    const { headers, ...credentials } = await this.#options();
    const { body, contentType, signal, method } = request;
    signal?.throwIfAborted();
    const options: RequestOptions = {
      ...credentials,
      method,
      protocol: this.#server.protocol,
      host: this.#server.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: this.#server.port || (this.#server.protocol === 'http:' ? 80 : 443),
      path: this.#server.pathname.replace(/\/$/, '') + request.path,
      headers: {
        ...headers,
        accept: 'application/json',
        'user-agent': 'offsite-operator',
        ...(body !== undefined && {
          'content-type': contentType ?? 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
      },
      ...(signal && { signal }),
    };
    const send = this.#server.protocol === 'http:' ? plainRequest : tlsRequest;
    request.beforeSend?.();
    return await new Promise((resolve, reject) => {
      const outgoing = send(options, resolve);
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        const stale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        reject(stale ? new StaleConnection(error) : error);
      });
      deadline.whenLate((late) => outgoing.destroy(late));
      outgoing.end(body);
    });
  }

  /** TLS options, authorization header and agent; read again at most every 30 s, and after a 401. */
  #options(): Promise<RequestOptions> {
    const now = performance.now();
    if (this.#credentials === undefined || now - this.#credentials.readAt > credentialsLastMilliseconds) {
      const read = { options: this.#readOptions(), readAt: now };
      read.options.catch(() => {
        if (this.#credentials === read) this.#credentials = undefined;
      });
      this.#credentials = read;
    }
    return this.#credentials.options;
  }

  async #readOptions(): Promise<RequestOptions> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    // Its own agent keeps the first certificate it saw and no connection; it is needed for proxies only.
    if (!this.#config.getCurrentCluster()?.proxyUrl) options.agent = this.#agent;
    return options;
  }
}

class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

class Late extends Error {}

/** One timer over the steps of a request; each step says how it is cut off. */
class Deadline {
  readonly #timer: NodeJS.Timeout;
  #late: Late | undefined;
  #cut: (late: Error) => void = () => {};

  constructor({ timeoutMilliseconds }: Request) {
    this.#timer = setTimeout(() => {
      this.#late = new Late(`no answer within ${timeoutMilliseconds / 1000} s`);
      this.#cut(this.#late);
    }, timeoutMilliseconds);
  }

  /** Also for a step that begins when it is late already. */
  whenLate(cut: (late: Error) => void): void {
    this.#cut = cut;
    if (this.#late !== undefined) cut(this.#late);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function failureOf({ what }: Request, error: unknown): ApiError {
  const { message, code } = error as NodeJS.ErrnoException;
  const reason = error instanceof Late ? 'Timeout' : 'Unreachable';
  return new ApiError(`${what}: ${message || code}`, { status: 0, reason, cause: error });
}
