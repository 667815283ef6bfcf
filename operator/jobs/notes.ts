/** What the cluster's events say about Jobs and pods that do not get on. Asked seldom, remembered meanwhile. */
import { type ApiClient, events, type KubeObject, RateLimit } from '../runtime/index.ts';

interface EventObject extends KubeObject {
  reason?: string;
  note?: string;
  eventTime?: string;
  deprecatedLastTimestamp?: string;
  series?: { lastObservedTime?: string };
}

interface Note {
  readonly text: string | undefined;
  readonly at: number;
}

const freshMilliseconds = 15_000;
const mostNotes = 5000;

export class Notes {
  readonly #client: Pick<ApiClient, 'list'>;
  readonly #clock: () => number;
  readonly #limit = new RateLimit({ perSecond: 5, burst: 10 });
  readonly #notes = new Map<string, Note>();

  constructor(client: Pick<ApiClient, 'list'>, clock: () => number = Date.now) {
    this.#client = client;
    this.#clock = clock;
  }

  /** The newest warning about each object that has one, by uid. */
  async about(objects: readonly KubeObject[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const { metadata } of objects) {
      const text = await this.#note(metadata.namespace ?? '', metadata.uid ?? '');
      if (text !== undefined) found.set(metadata.uid ?? '', text);
    }
    return found;
  }

  async #note(namespace: string, uid: string): Promise<string | undefined> {
    const known = this.#notes.get(uid);
    const isFresh = known !== undefined && this.#clock() - known.at < freshMilliseconds;
    // When many are stuck at once, what was known stays until it is their turn.
    if (isFresh || !this.#limit.tryTake()) return known?.text;
    const text = await this.#read(namespace, uid);
    this.#notes.delete(uid);
    this.#notes.set(uid, { text, at: this.#clock() });
    if (this.#notes.size > mostNotes) this.#notes.delete(this.#notes.keys().next().value as string);
    return text;
  }

  async #read(namespace: string, uid: string): Promise<string | undefined> {
    const { items } = await this.#client.list<EventObject>(events, {
      namespace,
      fieldSelector: `regarding.uid=${uid},type=Warning`,
      limit: 100,
    });
    const timeOf = ({ series, deprecatedLastTimestamp, eventTime }: EventObject) =>
      series?.lastObservedTime ?? deprecatedLastTimestamp ?? eventTime ?? '';
    const newest = items.toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1)).at(-1);
    return newest && [newest.reason, newest.note].filter(Boolean).join(': ');
  }
}
