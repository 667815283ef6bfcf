import type { Answer, Request, Transport } from '../../../../operator/runtime/api/transport.ts';
import { ApiClient } from '../../../../operator/runtime/index.ts';
import { configFor } from './fake-api.ts';

interface Stored {
  metadata: { resourceVersion: string; name: string };
  [field: string]: unknown;
}

/** A transport without a network, for fake timers: objects by path, with the API server's optimistic locking. */
export class MemoryApi implements Transport {
  readonly objects = new Map<string, Stored>();
  readonly requests: string[] = [];
  /** What becomes of a request before it is looked at. */
  before: (request: Request) => Promise<void> | void = () => {};
  #version = 0;

  client(): ApiClient {
    return new ApiClient(configFor(1), { transport: this });
  }

  /** Changes an object as somebody else would. */
  edit(path: string, change: (object: Stored) => void): void {
    const object = structuredClone(this.objects.get(path)!);
    change(object);
    this.#store(path, object);
  }

  async send(request: Request): Promise<Answer> {
    const path = request.path.split('?')[0]!;
    this.requests.push(`${request.method} ${path}`);
    await this.before(request);
    request.signal?.throwIfAborted();
    const body = request.body === undefined ? undefined : JSON.parse(request.body);
    if (request.method === 'POST') return this.#create(`${path}/${body.metadata.name}`, body);
    const stored = this.objects.get(path);
    if (stored === undefined) return failure(404, 'NotFound');
    if (request.method === 'GET') return answer(200, stored);
    if (request.method === 'PATCH') return answer(200, this.#store(path, { ...stored, ...body }));
    const version = body.metadata.resourceVersion;
    if (version && version !== stored.metadata.resourceVersion) return failure(409, 'Conflict');
    return answer(200, this.#store(path, body));
  }

  stream(): Promise<never> {
    throw new Error('nothing is watched here');
  }

  close(): void {}

  #create(path: string, body: Stored): Answer {
    if (this.objects.has(path)) return failure(409, 'AlreadyExists');
    return answer(201, this.#store(path, body));
  }

  #store(path: string, object: Stored): Stored {
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
    this.objects.set(path, stored);
    return stored;
  }
}

const answer = (status: number, body: object): Answer => ({
  status,
  retryAfter: undefined,
  body: JSON.stringify(body),
});
const failure = (status: number, reason: string) => answer(status, { kind: 'Status', reason });
