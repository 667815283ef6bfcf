import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KubeObject, secrets } from '../../../operator/runtime/index.ts';
import { openPublisher, type Publisher } from '../../../src/progress/index.ts';
import type { ApiServer } from './api-server.ts';
import type { KubeletOptions } from './kubelet.ts';

type Publish = NonNullable<KubeletOptions['publish']>;

/** A Secret's values, as text. */
export async function secretIn(
  { client }: ApiServer,
  namespace: string,
  name: string,
): Promise<Record<string, string>> {
  const { data } = await client.get<KubeObject & { data: Record<string, string> }>(secrets, namespace, name);
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

/** Publishes as the pods of each resource do: with the credentials in the Secret of its Job. */
export class RunPublishers {
  readonly #server: ApiServer;
  readonly #url: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'offsite-publishers-'));
  readonly #publishers = new Map<string, Promise<Publisher>>();

  constructor(server: ApiServer, url: string) {
    this.#server = server;
    this.#url = url;
  }

  /** Resolves when the event is on its way. */
  async publish(...[resource, event, attempt]: Parameters<Publish>): Promise<void> {
    const { uid = '', namespace = 'default' } = resource.metadata;
    const pods = `${uid}/${attempt}`;
    const publisher = this.#publishers.get(pods) ?? this.#open(uid, namespace, attempt);
    this.#publishers.set(pods, publisher);
    // The API server may be away; then it is tried again with the next event.
    publisher.catch(() => this.#publishers.delete(pods));
    (await publisher).publish(resource, event);
  }

  async close(): Promise<void> {
    for (const publisher of this.#publishers.values()) await (await publisher).close(100);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #open(uid: string, namespace: string, attempt: number): Promise<Publisher> {
    const { items } = await this.#server.client.list(secrets, { namespace });
    const own = items.find(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid))!;
    const credentials = join(this.#directory, `${uid}.creds`);
    writeFileSync(credentials, (await secretIn(this.#server, namespace, own.metadata.name))['nats.creds']!);
    return openPublisher({ url: this.#url, credentials, attempt, warn: () => {} });
  }
}
