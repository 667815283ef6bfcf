// The watcher's subscription to other people's runs: what the stream keeps, then what comes.
import { DeliverPolicy, type NatsConnection, NatsError } from 'nats';
import { fetchMessages, watchersApi } from './fetch.ts';
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

/** `all` has none: the client adds a start sequence, which the server refuses beside DeliverPolicy.All. */
const policies = {
  all: {},
  last: { deliver_policy: DeliverPolicy.LastPerSubject },
  new: { deliver_policy: DeliverPolicy.New },
};

/** A short heartbeat: a server that came back without our consumer is noticed within seconds. Few at a time, as the operator's. */
const heartbeat = { max_messages: 24, expires: 5000, idle_heartbeat: 1000 };

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
  const { failed = () => {}, patienceMilliseconds = 300 } = options;
  const left = new AbortController();
  const signal = AbortSignal.any([options.signal, left.signal]);
  const connection = await connectForEver(connectionOptions({ ...options, url }), signal, failed);
  if (connection === undefined) return;
  const leave = () => void connection.close();
  signal.addEventListener('abort', leave, { once: true });
  try {
    const read = isGranted(options, `${watchersApi}.STREAM.INFO.${streamName}`) ? fetchMessages : rawMessages;
    const source = read(connection, subject, options.from ?? 'last', signal, failed);
    yield* ordered(source, patienceMilliseconds, signal);
  } finally {
    left.abort();
    await connection.close();
  }
}

/** By a consumer of its own, which the server may take for who may make one. */
async function* rawMessages(
  connection: NatsConnection,
  subject: string,
  from: NonNullable<WatchOptions['from']>,
  signal: AbortSignal,
  failed: (code: string) => void,
): AsyncGenerator<RawMessage> {
  let seen = 0;
  while (!signal.aborted && !connection.isClosed()) {
    try {
      if (!(await ensureStream(connection))) {
        for await (const message of connection.subscribe(subject)) yield message;
        continue;
      }
      const start = seen === 0 ? policies[from] : { opt_start_seq: seen + 1 };
      const consumer = await connection
        .jetstream()
        .consumers.get(streamName, { filterSubjects: subject, ...start });
      // A copy: the client keeps its callback in these options.
      const messages = await consumer.consume({ ...heartbeat });
      const stop = () => void messages.close();
      signal.addEventListener('abort', stop, { once: true });
      for await (const message of messages) {
        seen = message.seq;
        yield message;
      }
      signal.removeEventListener('abort', stop);
    } catch (error) {
      if (!(error instanceof NatsError)) throw error;
      if (!connection.isClosed()) failed(codeOf(error));
    }
    await pause(500, signal);
  }
}
