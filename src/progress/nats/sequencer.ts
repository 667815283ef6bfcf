import type { EventMessage } from './message.ts';

/** How many messages of one publisher are held back, waiting for an earlier one. */
const mostHeld = 64;

interface Publisher {
  next: number;
  held: Map<number, EventMessage>;
}

/**
 * Puts each publisher's messages in order and leaves out what came twice. A message after a gap is held until the gap
 * is filled, `release` is called, or too many wait: numbers may be missing for good (an old message has expired).
 */
export class Sequencer {
  readonly #publishers = new Map<string, Publisher>();

  /** @returns the messages that are now in order, oldest first */
  accept(message: EventMessage): EventMessage[] {
    const publisher = this.#publisherOf(message);
    if (message.sequence < publisher.next || publisher.held.has(message.sequence)) return [];
    publisher.held.set(message.sequence, message);
    const ready = inOrder(publisher);
    return publisher.held.size > mostHeld ? [...ready, ...releaseAll(publisher)] : ready;
  }

  get holds(): boolean {
    return [...this.#publishers.values()].some(({ held }) => held.size > 0);
  }

  /** Gives up waiting for what is missing. */
  release(): EventMessage[] {
    return [...this.#publishers.values()].flatMap(releaseAll);
  }

  #publisherOf({ publisher }: EventMessage): Publisher {
    const known = this.#publishers.get(publisher) ?? { next: 1, held: new Map() };
    this.#publishers.set(publisher, known);
    return known;
  }
}

function inOrder(publisher: Publisher): EventMessage[] {
  const ready: EventMessage[] = [];
  for (
    let message = publisher.held.get(publisher.next);
    message;
    message = publisher.held.get(publisher.next)
  ) {
    publisher.held.delete(publisher.next++);
    ready.push(message);
  }
  return ready;
}

function releaseAll(publisher: Publisher): EventMessage[] {
  const ready = [...publisher.held.values()].sort((a, b) => a.sequence - b.sequence);
  publisher.held.clear();
  const last = ready.at(-1);
  if (last !== undefined) publisher.next = last.sequence + 1;
  return ready;
}
