import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { KubeTransport } from '../../../../../operator/runtime/api/transport.ts';
import {
  ApiClient,
  ApiError,
  jobs,
  namespaces,
  RuntimeMetrics,
} from '../../../../../operator/runtime/index.ts';
import { configFor } from '../../../../support/unit/operator/fake-api.ts';

interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

let answers: ((response: ServerResponse, seen: Seen) => void)[];
let seen: Seen[];
let server: ReturnType<typeof createServer>;
let client: ApiClient;
let metrics: RuntimeMetrics;
const port = () => (server.address() as AddressInfo).port;

beforeEach(async () => {
  answers = [];
  seen = [];
  server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    const { method = '', url = '', headers } = request;
    seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    (answers.shift() ?? ok({}))(response, seen.at(-1)!);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  metrics = new RuntimeMetrics();
  client = new ApiClient(configFor(port()), {
    metrics,
    timeoutMilliseconds: 10_000,
    patienceMilliseconds: 60_000,
  });
});
afterEach(async () => {
  client.close();
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
});

const impatient = () => new ApiClient(configFor(port()), { timeoutMilliseconds: 200 });
const ok = (object: object) => (response: ServerResponse) => void response.end(JSON.stringify(object));
const fails =
  (status: number, body: object, headers = {}) =>
  (response: ServerResponse) =>
    void response.writeHead(status, headers).end(JSON.stringify({ kind: 'Status', ...body }));
const failureOf = async (promise: Promise<unknown>): Promise<ApiError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
};
const job = {
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'words', namespace: 'team a' },
  spec: { unknownField: { kept: true } },
};

describe('the API client', () => {
  it('asks as the API wants it, and drops no unknown field', async () => {
    answers.push(ok(job));
    expect(await client.get(jobs, 'team a', 'words')).toEqual(job);
    await client.apply(jobs, job, { fieldManager: 'offsite-operator', force: true });
    await client.applyStatus(jobs, job, { fieldManager: 'offsite-progress' });
    await client.create(jobs, job);
    await client.delete(jobs, 'team a', 'words', {
      propagationPolicy: 'Foreground',
      preconditions: { uid: 'u' },
    });
    await client.get(namespaces, undefined, 'default');
    const path = '/apis/batch/v1/namespaces/team%20a/jobs';
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      `GET ${path}/words`,
      `PATCH ${path}/words?fieldManager=offsite-operator&force=true`,
      `PATCH ${path}/words/status?fieldManager=offsite-progress`,
      `POST ${path}`,
      `DELETE ${path}/words`,
      'GET /api/v1/namespaces/default',
    ]);
    expect(seen[1]!.headers['content-type']).toBe('application/apply-patch+yaml');
    expect(JSON.parse(seen[1]!.body)).toEqual(job);
    expect(JSON.parse(seen[4]!.body)).toMatchObject({
      propagationPolicy: 'Foreground',
      preconditions: { uid: 'u' },
    });
    expect(seen[0]!.headers.authorization).toBe('Bearer secret-token');
  });

  it('gives the items of a list their apiVersion and kind', async () => {
    answers.push(ok({ items: [{ metadata: { name: 'a' } }], metadata: { resourceVersion: '1' } }));
    const list = await client.list(jobs, { labelSelector: 'a=b', limit: 10 });
    expect(list.items[0]).toEqual({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'a' } });
    expect(seen[0]!.url).toBe('/apis/batch/v1/jobs?labelSelector=a%3Db&limit=10');
  });

  it('throws what the server said, without the credentials', async () => {
    const details = { causes: [{ field: 'spec.layers', message: 'must be at least 1' }] };
    answers.push(fails(422, { reason: 'Invalid', message: 'spec.layers: must be at least 1', details }));
    const error = await failureOf(client.create(jobs, job));
    expect(error).toMatchObject({ status: 422, reason: 'Invalid', details });
    expect(error.message).toBe('create Job team a/words: spec.layers: must be at least 1');
    expect(JSON.stringify(error) + error.stack).not.toContain('secret-token');
  });

  it.each([
    [
      'nothing that listens',
      async () =>
        await failureOf(
          new ApiClient(configFor(1), { timeoutMilliseconds: 10_000 }).get(jobs, 'default', 'a'),
        ),
      'Unreachable',
    ],
    [
      'a server that never answers',
      async () => {
        answers.push(() => {});
        return await failureOf(impatient().get(jobs, 'default', 'a'));
      },
      'Timeout',
    ],
    [
      'an answer that stops in the middle',
      async () => {
        answers.push((response) => void response.write('{"half":'));
        return await failureOf(impatient().get(jobs, 'default', 'a'));
      },
      'Timeout',
    ],
    [
      'an answer that is cut off',
      async () => {
        answers.push((response) => {
          response.write('{"half":', () => response.socket?.resetAndDestroy());
        });
        return await failureOf(client.get(jobs, 'default', 'a'));
      },
      'Unreachable',
    ],
    [
      'an answer that is no JSON',
      async () => {
        answers.push((response) => void response.end('<html>'));
        return await failureOf(client.get(jobs, 'default', 'a'));
      },
      'BadAnswer',
    ],
  ])('tells of %s', async (_what, failure, reason) => {
    const error = await failure();
    expect(error.reason).toBe(reason);
    expect(error.message).toContain('get Job default/a');
  });

  it('comes back when the server says when, for writes too', async () => {
    answers.push(fails(429, {}, { 'retry-after': '1' }), fails(503, {}, { 'retry-after': '0' }), ok(job));
    const start = performance.now();
    expect(await client.create(jobs, job)).toEqual(job);
    expect(performance.now() - start).toBeGreaterThan(950);
    expect(seen).toHaveLength(3);
  });

  it.each([
    ['more than its patience', () => fails(429, {}, { 'retry-after': '600' }), 60],
    ['no time', () => fails(500, {}), undefined],
  ])('gives a server that asks for %s to the caller', async (_what, answer, seconds) => {
    answers.push(answer());
    const error = await failureOf(client.get(jobs, 'default', 'a'));
    expect(error.retryAfterSeconds).toBe(seconds);
    expect(seen).toHaveLength(1);
  });

  it('sends again what was lost on an idle connection that the server closed, but creates nothing twice', async () => {
    const reset = (response: ServerResponse) => void response.socket?.resetAndDestroy();
    await client.get(jobs, 'default', 'warm');
    answers.push(reset);
    await client.apply(jobs, job, { fieldManager: 'x' });
    await client.get(jobs, 'default', 'warm');
    answers.push(reset);
    expect((await failureOf(client.create(jobs, job))).reason).toBe('Unreachable');
    expect(seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('asks before it sends again whether it still may', async () => {
    let may = true;
    const guarded = new ApiClient(configFor(port()), {
      beforeWrite: () => {
        if (!may) throw new ApiError('not leading', { status: 0, reason: 'NotLeading' });
      },
    });
    await guarded.get(jobs, 'default', 'warm');
    answers.push((response) => {
      may = false;
      response.socket?.resetAndDestroy();
    });
    expect((await failureOf(guarded.apply(jobs, job, { fieldManager: 'x' }))).reason).toBe('NotLeading');
    expect(seen.filter(({ method }) => method === 'PATCH')).toHaveLength(1);
    guarded.close();
  });

  it('counts the time that credentials take, too', async () => {
    const config = configFor(port());
    const own = new ApiClient(
      {
        ...config,
        applyToHTTPSOptions: async (options) => {
          await new Promise((resolve) => setTimeout(resolve, 300));
          await config.applyToHTTPSOptions(options);
        },
      },
      { timeoutMilliseconds: 100 },
    );
    answers.push(() => {});
    expect((await failureOf(own.get(jobs, 'default', 'a'))).reason).toBe('Timeout');
    own.close();
  });

  it('breaks off a page of more than 4 MiB and asks for half of it, down to single objects', async () => {
    const items = (megabytes: number) => [{ metadata: { name: 'x', note: 'x'.repeat(megabytes * 2 ** 20) } }];
    const answer = (megabytes: number) => ok({ items: items(megabytes), metadata: { continue: 'more' } });
    answers = [answer(5), answer(4), answer(3.9)];
    const page = await client.list(jobs, { namespace: 'a', limit: 10, continue: 'here' });
    expect([page.items.length, page.metadata.continue]).toEqual([1, 'more']);
    const asked = () => seen.map(({ url }) => new URL(url, 'http://x').searchParams);
    expect(asked().map((query) => [query.get('limit'), query.get('continue')])).toEqual([
      ['10', 'here'],
      ['5', 'here'],
      ['2', 'here'],
    ]);
    answers = [answer(5), answer(5)];
    expect((await client.list(jobs, { namespace: 'a', limit: 2 })).items).toHaveLength(1);
    expect(asked().at(-1)?.get('limit')).toBe('1');
    // Of other answers nobody asks for a part.
    const small = await failureOf(
      new KubeTransport(configFor(port())).send({
        ...{ method: 'GET', path: '/', what: 'get x', timeoutMilliseconds: 10_000, mostBytes: 1 },
      }),
    );
    expect([small.reason, small.message]).toEqual(['TooLarge', 'get x: the answer has more than 1 bytes']);
  });

  it('ends a request when its signal aborts', async () => {
    answers.push(() => {});
    const stop = new AbortController();
    const get = client.get(jobs, 'default', 'a', { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('told to end')), 20);
    await expect(get).rejects.toThrow('told to end');
    await expect(client.get(jobs, 'default', 'a', { signal: stop.signal })).rejects.toThrow('told to end');
  });

  it('writes nothing when it must not, and reads all the same', async () => {
    const guarded = new ApiClient(configFor(port()), {
      beforeWrite: () => {
        throw new ApiError('not leading', { status: 0, reason: 'NotLeading' });
      },
    });
    expect((await failureOf(guarded.create(jobs, job))).reason).toBe('NotLeading');
    await guarded.get(jobs, 'default', 'a');
    expect(seen.map(({ method }) => method)).toEqual(['GET']);
    guarded.close();
  });

  it('keeps to its own limit of writes', async () => {
    const limited = new ApiClient(configFor(port()), { writeLimit: { perSecond: 20, burst: 1 } });
    const start = performance.now();
    await Promise.all([1, 2, 3, 4].map(() => limited.create(jobs, job)));
    expect(performance.now() - start).toBeGreaterThan(140);
    limited.close();
  });

  it('counts requests by verb, kind and code', async () => {
    answers.push(ok(job), fails(404, {}));
    await client.get(jobs, 'default', 'a');
    await failureOf(client.get(jobs, 'default', 'a'));
    const text = await metrics.registry.metrics();
    expect(text).toContain('offsite_operator_api_requests_total{verb="get",kind="Job",code="200"} 1');
    expect(text).toContain('offsite_operator_api_requests_total{verb="get",kind="Job",code="404"} 1');
  });

  it('takes up credentials that were rotated after 30 s, and at once after a 401', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      let token = 'first';
      const own = new ApiClient({
        ...configFor(port()),
        applyToHTTPSOptions: async (options) => {
          options.headers = { Authorization: token };
        },
      });
      await own.get(jobs, 'default', 'a');
      token = 'second';
      await own.get(jobs, 'default', 'a');
      vi.advanceTimersByTime(31_000);
      await own.get(jobs, 'default', 'a');
      token = 'third';
      answers.push(fails(401, {}));
      expect((await failureOf(own.get(jobs, 'default', 'a'))).reason).toBe('Unauthorized');
      await own.get(jobs, 'default', 'a');
      const used = seen.map(({ headers }) => headers.authorization);
      expect(used).toEqual(['first', 'first', 'second', 'second', 'third']);
      own.close();
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses an object without a namespace before it asks', async () => {
    const homeless = { ...job, metadata: { name: 'words' } };
    await expect(client.apply(jobs, homeless, { fieldManager: 'x' })).rejects.toThrow(
      'Job words: no namespace',
    );
    await expect(client.create(jobs, homeless)).rejects.toThrow('Job words: no namespace');
    expect(seen).toEqual([]);
  });
});
