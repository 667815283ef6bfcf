/** Tries everything on a real API server, as whoever it is, and reads in the answer whether it was permitted. */
import { readFileSync } from 'node:fs';
import { Agent, type RequestOptions, request } from 'node:https';
import { text } from 'node:stream/consumers';
import type { ControlPlane } from '../cluster/control-plane.ts';
import type { Attempt } from './attempts.ts';
import { bodyOf, clusterThings, things, type Verb } from './kubernetes-things.ts';

/** Who asks: by a client certificate, by a token, or by nothing. */
export type Identity = Pick<RequestOptions, 'cert' | 'key'> & { readonly token?: string };

/** The name of each thing of a namespace. */
export type Names = (plural: string) => string;

export class Asker {
  readonly #plane: ControlPlane;
  readonly #identity: Identity;
  readonly #agent: Agent;

  constructor(plane: ControlPlane, identity: Identity) {
    this.#plane = plane;
    this.#identity = identity;
    const { cert, key } = identity;
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(plane.authority.own.cert), cert, key });
  }

  /** @param headers more of them */
  async ask(
    method: string,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; body: string }> {
    const { token } = this.#identity;
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const asked = request(new URL(path, this.#plane.url), {
      ...{ method, agent: this.#agent },
      headers: { ...(token && { authorization: `Bearer ${token}` }), 'content-type': type, ...headers },
    });
    const answered = new Promise<{ status: number; body: string }>((resolve, reject) => {
      asked.on('error', reject);
      asked.on('response', (response) => {
        const status = response.statusCode ?? 0;
        // A watch goes on; that it began is the answer.
        if (status === 200 && path.includes('watch=1')) {
          response.destroy();
          return resolve({ status, body: '' });
        }
        text(response).then((body) => resolve({ status, body }), reject);
      });
    });
    asked.end(body && JSON.stringify(body));
    return await answered;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Everything that is there to be tried in a namespace. Nothing is changed by it. */
export async function tryNamespace(asker: Asker, namespace: string, names: Names): Promise<Tried[]> {
  return await inOrder(things, async (thing) => {
    const { plural, what, subresource, query } = thing;
    const all = `${base(thing.apiVersion)}/namespaces/${namespace}/${plural}`;
    const one = `${all}/${names(plural)}${subresource ? `/${subresource}` : ''}`;
    return await inOrder(thing.verbs, async (verb) => {
      const { method, at, more } = methods[verb];
      const path = at === 'one' || subresource ? one : all;
      const current = verb === 'update' ? await asker.ask('GET', one) : undefined;
      const name = verb === 'create' && !subresource ? 'tried' : names(plural);
      const made = bodyOf(thing, name, namespace);
      const body = current?.status === 200 ? (JSON.parse(current.body) as object) : made;
      const sends = verb === 'create' || verb === 'update' ? body : verb === 'patch' ? {} : undefined;
      const answer = await asker.ask(method, `${path}?${[more, query].filter(Boolean).join('&')}`, sends);
      return [{ what, deed: verb, ...judged(answer, `${verb} ${path}`) }];
    });
  });
}

/** Everything that is tried on the cluster as a whole. */
export async function tryCluster(asker: Asker): Promise<Tried[]> {
  return await inOrder(clusterThings, ({ apiVersion, plural, what, verbs }) =>
    inOrder(verbs, async (verb) => {
      const { method, more } = methods[verb];
      const path = `${base(apiVersion)}/${plural}`;
      const sends = verb === 'create' ? { apiVersion, metadata: { name: 'tried' } } : undefined;
      const answer = await asker.ask(method, `${path}?${more}`, sends);
      return [{ what, deed: verb, ...judged(answer, `${verb} ${path}`) }];
    }),
  );
}

/** Whether one may ask as another user, with that one's rights. */
export async function tryToBe(asker: Asker, user: string): Promise<Tried> {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews?dryRun=All';
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const answer = await asker.ask('POST', path, review, { 'impersonate-user': user });
  return { what: 'rights of its user', deed: 'act with', ...judged(answer, `act as ${user}`) };
}

/** What is not of the run, or of the operator, but beside it in its namespace. */
export async function tryOthers(asker: Asker, namespace: string): Promise<Tried[]> {
  return await inOrder(things, async (thing) => {
    if (!['Secrets', 'Leases'].includes(thing.what)) return [];
    const path = `${base(thing.apiVersion)}/namespaces/${namespace}/${thing.plural}/words`;
    return await inOrder(['get', 'update'] as const, async (verb) => {
      const sends = verb === 'update' ? bodyOf(thing, 'words', namespace) : undefined;
      const { method, more } = methods[verb];
      const answer = await asker.ask(method, `${path}?${more}`, sends);
      return [{ what: `other ${thing.what}`, deed: verb, ...judged(answer, `${verb} ${path}`) }];
    });
  });
}

export type Tried = Pick<Attempt, 'what' | 'deed' | 'permitted'> & { readonly status: number };

const methods: Record<Verb, { method: string; at: 'one' | 'all'; more: string }> = {
  get: { method: 'GET', at: 'one', more: '' },
  list: { method: 'GET', at: 'all', more: 'limit=1' },
  watch: { method: 'GET', at: 'all', more: 'watch=1' },
  create: { method: 'POST', at: 'all', more: 'dryRun=All' },
  update: { method: 'PUT', at: 'one', more: 'dryRun=All' },
  patch: { method: 'PATCH', at: 'one', more: 'dryRun=All' },
  delete: { method: 'DELETE', at: 'one', more: 'dryRun=All' },
  deletecollection: { method: 'DELETE', at: 'all', more: 'dryRun=All' },
};

const base = (apiVersion: string) => (apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`);

/**
 * Rights are looked at before anything else: a refusal says so in words. What is answered otherwise was permitted, also where there
 * is no kubelet to give a log, no container to enter, or something else is wrong with what was asked.
 */
function judged(
  { status, body }: { status: number; body: string },
  asked: string,
): Pick<Tried, 'permitted' | 'status'> {
  if (status !== 403) {
    if (status === 401 || status === 429) throw new Error(`${asked}: ${status} ${body}`);
    return { permitted: true, status };
  }
  const { reason, message } = JSON.parse(body) as { reason: string; message: string };
  if (reason !== 'Forbidden' || !/ cannot [\w:-]+ resource /.test(message))
    throw new Error(`${asked}: ${body}`);
  return { permitted: false, status };
}

async function inOrder<T, R>(all: readonly T[], each: (one: T) => Promise<R[]>): Promise<R[]> {
  const results: R[] = [];
  for (const one of all) results.push(...(await each(one)));
  return results;
}
