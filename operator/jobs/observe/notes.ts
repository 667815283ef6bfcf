/** What the cluster's events say about Jobs and pods that do not get on. Asked seldom, remembered meanwhile. */
import {
  type ApiClient,
  events,
  type KubeObject,
  type Log,
  operatorLog,
  RateLimit,
  toldOf,
} from '../../runtime/index.ts';

interface EventObject extends KubeObject {
  reason?: string;
  note?: string;
  eventTime?: string;
  reportingController?: string;
  deprecatedSource?: { component?: string };
  deprecatedLastTimestamp?: string;
  series?: { lastObservedTime?: string };
}

interface Note {
  readonly text: string | undefined;
  readonly at: number;
}

export interface NotesOptions {
  readonly clock?: () => number;
  /** No decision waits longer for events; 3 s. */
  readonly patienceMilliseconds?: number;
  readonly log?: Log;
}

/** Which events about an object are of interest. */
interface Wanted {
  /** What a field selector can say of it. */
  readonly fields: string;
  readonly isWanted: (event: EventObject) => boolean;
}

const warnings: Wanted = { fields: ',type=Warning', isWanted: () => true };
/** It tells in normal events why it stopped a Job, or which Workload stands for it. */
const kueuesWord: Wanted = {
  fields: '',
  isWanted: ({ reportingController, deprecatedSource }) =>
    /kueue/.test(reportingController || (deprecatedSource?.component ?? '')),
};

/** Honest events about an object are a few; of thousands, or of huge ones, as many pages are read as this. */
const mostPages = 10;
const pageSize = 50;

const freshMilliseconds = 15_000;
const mostNotes = 5000;

/** Events are only told: where they cannot be read, what was known stays, and nothing fails. */
export class Notes {
  readonly #client: Pick<ApiClient, 'list'>;
  readonly #clock: () => number;
  readonly #patienceMilliseconds: number;
  readonly #log: Log;
  readonly #limit = new RateLimit({ perSecond: 5, burst: 10 });
  readonly #notes = new Map<string, Note>();
  /** After a failure nobody is asked before this time. */
  #askAgainAt = Number.NEGATIVE_INFINITY;

  constructor(client: Pick<ApiClient, 'list'>, options: NotesOptions = {}) {
    this.#client = client;
    this.#clock = options.clock ?? Date.now;
    this.#patienceMilliseconds = options.patienceMilliseconds ?? 3000;
    this.#log = options.log ?? operatorLog;
  }

  /**
   * By uid, the newest warning about each of `stuck` that has one, and what Kueue said last of each of `queued`, which are
   * other objects.
   */
  async about(
    stuck: readonly KubeObject[],
    queued: readonly KubeObject[] = [],
  ): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const object of [...queued, ...stuck]) {
      const text = await this.#note(object, queued.includes(object) ? kueuesWord : warnings);
      if (text !== undefined) found.set(object.metadata.uid ?? '', text);
    }
    return found;
  }

  async #note({ metadata }: KubeObject, wanted: Wanted): Promise<string | undefined> {
    const { namespace = '', uid = '' } = metadata;
    const known = this.#notes.get(uid);
    const now = this.#clock();
    const isFresh = known !== undefined && now - known.at < freshMilliseconds;
    // When many are stuck at once, what was known stays until it is their turn.
    if (isFresh || now < this.#askAgainAt || !this.#limit.tryTake()) return known?.text;
    try {
      const text = await this.#read(namespace, uid, wanted);
      this.#remember(uid, text);
      return text;
    } catch (error) {
      this.#askAgainAt = this.#clock() + freshMilliseconds;
      this.#log.warn({ namespace, ...toldOf(error) }, 'events could not be read; going on without them');
      return known?.text;
    }
  }

  async #read(namespace: string, uid: string, { fields, isWanted }: Wanted): Promise<string | undefined> {
    const signal = AbortSignal.timeout(this.#patienceMilliseconds);
    let newest: EventObject | undefined;
    let next: string | undefined;
    for (let page = 0; page < mostPages; page++) {
      const { items, metadata } = await this.#client.list<EventObject>(events, {
        ...{ namespace, fieldSelector: `regarding.uid=${uid}${fields}`, signal },
        ...{ limit: pageSize, continue: next },
      });
      newest = newestOf([...(newest ? [newest] : []), ...items.filter(isWanted)]);
      next = metadata.continue;
      if (!next) break;
    }
    return newest && toldBy(newest);
  }

  #remember(uid: string, text: string | undefined): void {
    this.#notes.delete(uid);
    this.#notes.set(uid, { text, at: this.#clock() });
    if (this.#notes.size > mostNotes) this.#notes.delete(this.#notes.keys().next().value as string);
  }
}

function newestOf(items: readonly EventObject[]): EventObject | undefined {
  const timeOf = ({ series, deprecatedLastTimestamp, eventTime }: EventObject) =>
    series?.lastObservedTime ?? deprecatedLastTimestamp ?? eventTime ?? '';
  return items.toSorted((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1)).at(-1);
}

/** A note has a kilobyte at most where the API server looked at it; what came by its older API may be longer. */
const mostOfNote = 2048;

const toldBy = ({ reason, note }: EventObject): string =>
  [reason, note].filter(Boolean).join(': ').slice(0, mostOfNote);
