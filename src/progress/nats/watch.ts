// The watcher's subscription to other people's runs: what the stream keeps, then what comes.
import type { NatsConnection } from 'nats';
import { fetchMessages, streamsApi, watchersApi } from './fetch.ts';
import { type EventFilter, subjectOf } from './message.ts';
import { type HeardMessage, ordered, type RawMessage } from './ordered.ts';
import {
  codeOf,
  connectForEver,
  connectionOptions,
  isGranted,
  type NatsAddress,
  pause,
} from './reachability.ts';
import { ensureStream, streamName } from './stream.ts';

export interface WatchOptions extends Omit<NatsAddress, 'url'> {
  /** Ends the watching. */
  signal: AbortSignal;
  /** `last` (default): the last event of each subject, then what comes; `all`: all that the stream keeps; `new`: only what comes. */
  from?: 'all' | 'last' | 'new';
  /** How long a message is held back for one before it that has not come; 300. */
  patienceMilliseconds?: number;
  /** Told, with a code, of each try that failed. */
  failed?: (code: string) => void;
}

/**
 * The events of other people's runs, in each publisher's order and each once, until `signal` is aborted. Goes on after a
 * lost connection where it was. Without a stream it hears what is published from now on.
 * @throws BadSpec for a wrong URL, credentials file or filter
 */
export async function* watchEvents(
  url: string,
  filter: EventFilter,
  options: WatchOptions,
): AsyncGenerator<HeardMessage> {
  const subject = subjectOf(filter);
  const { failed = () => {}, from = 'last', patienceMilliseconds = 300 } = options;
  const left = new AbortController();
  const signal = AbortSignal.any([options.signal, left.signal]);
  const connection = await connectForEver(connectionOptions({ ...options, url }), signal, failed);
  if (connection === undefined) return;
  const leave = () => void connection.close();
  signal.addEventListener('abort', leave, { once: true });
  try {
    const isWatcher = isGranted(options, `${watchersApi}.STREAM.INFO.${streamName}`);
    const source =
      isWatcher || (await hasStream(connection, signal, failed))
        ? fetchMessages(connection, isWatcher ? watchersApi : streamsApi, subject, from, signal, failed)
        : heardNow(connection, subject);
    yield* ordered(source, patienceMilliseconds, signal);
  } finally {
    left.abort();
    await connection.close();
  }
}

/** Whether the server keeps events, or does so from now on; asked until it says so, or `signal` is aborted. */
async function hasStream(
  connection: NatsConnection,
  signal: AbortSignal,
  failed: (code: string) => void,
): Promise<boolean> {
  while (!signal.aborted && !connection.isClosed()) {
    try {
      return await ensureStream(connection);
    } catch (error) {
      // The client takes it for granted that an answer is of the form that it asked for.
      if (!connection.isClosed()) failed(codeOf(error));
    }
    await pause(500, signal);
  }
  return false;
}

async function* heardNow(connection: NatsConnection, subject: string): AsyncGenerator<RawMessage> {
  if (!connection.isClosed()) yield* connection.subscribe(subject);
}
