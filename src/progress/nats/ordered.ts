// Raw NATS messages as a sequence of events, in order and without duplicates.
import type { Msg } from 'nats';
import { decodeMessage, type EventMessage } from './message.ts';
import { Sequencer } from './sequencer.ts';

export interface RawMessage extends Pick<Msg, 'data' | 'subject'> {
  /** The stream's number of it, where there is one. */
  readonly seq?: number;
}

/** A message, and its number in the stream, else among all that came: what is held back is told later, and came before. */
export interface HeardMessage extends EventMessage {
  readonly heard: number;
}

/** Decodes, de-duplicates and orders; a gap is waited for only so long. */
export async function* ordered(
  source: AsyncGenerator<RawMessage>,
  patienceMilliseconds: number,
  signal: AbortSignal,
): AsyncGenerator<HeardMessage> {
  const sequencer = new Sequencer<HeardMessage>(patienceMilliseconds);
  let heard = 0;
  let next = source.next();
  while (true) {
    const got = await nextOr(next, sequencer.due, signal);
    // Also between messages: a flood of one publisher's keeps back nobody else's.
    yield* sequencer.release();
    if (got === undefined) continue;
    if (got.done) break;
    next = source.next();
    const message = decodeMessage(got.value.data, got.value.subject);
    if (message !== undefined) yield* sequencer.accept({ ...message, heard: got.value.seq ?? ++heard });
  }
  yield* sequencer.releaseAll();
}

/**
 * What comes first: the message, `due` (undefined) or the abort. The client may be waiting for a server: leaving must not wait
 * with it. No Promise.race: what lives as long as the watching would keep every message.
 */
async function nextOr(
  next: Promise<IteratorResult<RawMessage, unknown>>,
  due: number | undefined,
  signal: AbortSignal,
): Promise<IteratorResult<RawMessage, unknown> | undefined> {
  const ended = { done: true, value: undefined } as const;
  if (signal.aborted) return ended;
  const first = Promise.withResolvers<IteratorResult<RawMessage, unknown> | undefined>();
  const leave = () => first.resolve(ended);
  signal.addEventListener('abort', leave, { once: true });
  const wait = due === undefined ? undefined : Math.max(1, Math.ceil(due - performance.now()));
  const timer = wait === undefined ? undefined : setTimeout(() => first.resolve(undefined), wait);
  next.then(first.resolve, first.reject);
  try {
    return await first.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
  }
}
