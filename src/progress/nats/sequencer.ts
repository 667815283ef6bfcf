// Ordering and de-duplication of messages by run, publisher and sequence number, in bounded memory.
import type { EventMessage } from './message.ts';

/** How many messages of one publisher are held back, waiting for an earlier one; and how many of all. */
const mostHeld = 64;
const mostHeldOfAll = 1024;
/** Beyond these, the one that was heard longest ago is forgotten: whoever publishes names itself as it likes. */
const mostPublishers = 4096;

/**
 * Who tells a message: the run whose subject it came under, and the publisher that it names itself. By that name alone one run
 * could speak as another's: whoever watches sees the names of all.
 */
const sourceOf = ({ namespace, kind, name, uid, publisher }: EventMessage): string =>
  [namespace, kind, name, uid, publisher].join('/');

/** One process's stay, in one run. */
interface Publisher<M> {
  next: number;
  readonly held: Map<number, M>;
  /** Until when its messages wait for what is missing, since the first of them came. */
  due: number;
}

/**
 * Puts each publisher's messages in order and leaves out what came twice. A message after a gap is held until the gap
 * is filled, its patience is over, or too many wait: numbers may be missing for good (an old message has expired).
 * Each step takes the same time, however many publishers there are.
 */
export class Sequencer<M extends EventMessage> {
  readonly #patienceMilliseconds: number;
  readonly #now: () => number;
  /** By their sources, in the order in which they were heard. */
  readonly #publishers = new Map<string, Publisher<M>>();
  /** Those with held messages, in the order in which these are due. */
  readonly #holding = new Set<Publisher<M>>();
  #held = 0;

  constructor(patienceMilliseconds: number, now: () => number = () => performance.now()) {
    this.#patienceMilliseconds = patienceMilliseconds;
    this.#now = now;
  }

  /** @returns the messages that are now in order, oldest first */
  accept(message: M): M[] {
    const forgotten = this.#forget(message);
    const publisher = this.#publisherOf(message);
    if (message.sequence < publisher.next || publisher.held.has(message.sequence)) return forgotten;
    this.#hold(publisher, message);
    const ready = [...forgotten, ...this.#inOrder(publisher)];
    if (publisher.held.size > mostHeld) ready.push(...this.#give(publisher));
    const [first] = this.#holding;
    if (this.#held > mostHeldOfAll && first !== undefined) ready.push(...this.#give(first));
    return ready;
  }

  /** When the messages that are held for longest are to be released, by the clock; undefined where none are held. */
  get due(): number | undefined {
    const [first] = this.#holding;
    return first?.due;
  }

  /** Gives up waiting for what is missing, where the patience is over. */
  release(): M[] {
    const released: M[] = [];
    for (const publisher of this.#holding) {
      if (publisher.due > this.#now()) break;
      released.push(...this.#give(publisher));
    }
    return released;
  }

  /** Gives up waiting for anything. */
  releaseAll(): M[] {
    return [...this.#holding].flatMap((publisher) => this.#give(publisher));
  }

  #publisherOf(message: M): Publisher<M> {
    const source = sourceOf(message);
    const known = this.#publishers.get(source) ?? { next: 1, held: new Map(), due: 0 };
    this.#publishers.delete(source);
    this.#publishers.set(source, known);
    return known;
  }

  /** Makes room for a publisher that is new. @returns what was held of the one that is forgotten for it */
  #forget(message: M): M[] {
    if (this.#publishers.size < mostPublishers || this.#publishers.has(sourceOf(message))) return [];
    const [[source, oldest] = []] = this.#publishers;
    if (source === undefined || oldest === undefined) return [];
    this.#publishers.delete(source);
    return this.#give(oldest);
  }

  #hold(publisher: Publisher<M>, message: M): void {
    publisher.held.set(message.sequence, message);
    this.#held += 1;
    if (this.#holding.has(publisher)) return;
    publisher.due = this.#now() + this.#patienceMilliseconds;
    this.#holding.add(publisher);
  }

  #inOrder(publisher: Publisher<M>): M[] {
    const ready: M[] = [];
    for (
      let message = publisher.held.get(publisher.next);
      message;
      message = publisher.held.get(publisher.next)
    ) {
      publisher.held.delete(publisher.next++);
      ready.push(message);
    }
    this.#held -= ready.length;
    if (publisher.held.size === 0) this.#holding.delete(publisher);
    return ready;
  }

  #give(publisher: Publisher<M>): M[] {
    const ready = [...publisher.held.values()].sort((a, b) => a.sequence - b.sequence);
    publisher.held.clear();
    this.#held -= ready.length;
    this.#holding.delete(publisher);
    const last = ready.at(-1);
    if (last !== undefined) publisher.next = last.sequence + 1;
    return ready;
  }
}
