import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  Events,
  type JsMsg,
  millis,
  type NatsConnection,
  NatsError,
  nanos,
} from 'nats';
import { codeOf, connectForEver, connectionOptions, type NatsAddress, pause } from './connection.ts';
import { decodeMessage, type EventMessage } from './message.ts';
import { ensureStream, streamName } from './stream.ts';

export interface ConsumeOptions extends NatsAddress {
  /** The consumer's name: who comes again under it goes on where it was. */
  durable: string;
  signal: AbortSignal;
  /** Told when NATS is heard, with what was said before, and when it cannot be. */
  connected: (connected: boolean) => void;
  /** Told, with a code, of what failed and is tried again. */
  failed?: ((code: string) => void) | undefined;
}

/** A message as the stream keeps it. */
export interface Delivered {
  message: EventMessage;
  /** Its place in the stream: what was published later has a higher one, also when it is delivered again. */
  streamSequence: number;
  time: Date;
}

const all = 'offsite.v1.>';
const mostUnacknowledged = 1000;
const acknowledgeWithin = 30_000;

/** A short heartbeat: a server that came back without our consumer is noticed within seconds. */
const heartbeat = {
  max_messages: 500,
  expires: 5000,
  idle_heartbeat: 1000,
  abort_on_missing_resource: true,
};

/**
 * Every event of the stream, by a consumer that outlives this process: first the last of each subject (what was told before
 * may be forgotten here), then all that was not acknowledged and all that comes. May tell twice, and out of order; what is
 * no event of ours, or lies about whom it is from, is dropped. A message is acknowledged when `handle` has returned.
 * @throws BadSpec for an unusable URL or credentials file
 */
export async function consumeEvents(
  options: ConsumeOptions,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const { signal, failed = () => {}, connected } = options;
  const settings = connectionOptions(options);
  const connection = await connectForEver(settings, signal, failed);
  if (connection === undefined) return;
  signal.addEventListener('abort', () => void connection.close(), { once: true });
  let caughtUp = false;
  void listen(connection, (heard) => connected(heard && caughtUp));
  while (!signal.aborted && !connection.isClosed()) {
    try {
      await ensureStream(connection);
      await replayLast(connection, signal, handle);
      caughtUp = true;
      connected(!signal.aborted);
      await follow(connection, options.durable, signal, handle);
    } catch (error) {
      if (!(error instanceof NatsError)) throw error;
      if (!signal.aborted) failed(codeOf(error));
    }
    await pause(500, signal);
  }
  connected(false);
  await connection.close();
}

async function listen(connection: NatsConnection, connected: (connected: boolean) => void): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === Events.Disconnect) connected(false);
    if (type === Events.Reconnect) connected(true);
  }
}

/**
 * The last progress and result of each resource, once: the memory of what was acknowledged by a process that is gone.
 * A warning is no state: that process has told it, and told again it would look new.
 */
async function replayLast(
  connection: NatsConnection,
  signal: AbortSignal,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const consumer = await connection
    .jetstream()
    .consumers.get(streamName, { filterSubjects: all, deliver_policy: DeliverPolicy.LastPerSubject });
  if ((await consumer.info()).num_pending === 0) return;
  const remember = (delivered: Delivered) => {
    if (delivered.message.event.type !== 'warning') handle(delivered);
  };
  await each(consumer, signal, (message) => {
    tell(message, remember);
    return message.info.pending > 0;
  });
}

async function follow(
  connection: NatsConnection,
  durable: string,
  signal: AbortSignal,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const { consumers } = await connection.jetstreamManager({ checkAPI: false });
  await consumers.add(streamName, {
    durable_name: durable,
    filter_subject: all,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(acknowledgeWithin),
    max_ack_pending: mostUnacknowledged,
  });
  const consumer = await connection.jetstream().consumers.get(streamName, durable);
  await each(consumer, signal, (message) => {
    tell(message, handle);
    message.ack();
    return true;
  });
}

/** Takes messages until `take` says that it was the last, or the consumer or the connection is gone. */
async function each(
  consumer: Consumer,
  signal: AbortSignal,
  take: (message: JsMsg) => boolean,
): Promise<void> {
  const messages = await consumer.consume({ ...heartbeat });
  const stop = () => void messages.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const message of messages) if (!take(message)) break;
  } finally {
    signal.removeEventListener('abort', stop);
    await messages.close();
  }
}

function tell({ data, subject, seq, info }: JsMsg, handle: (delivered: Delivered) => void): void {
  const message = decodeMessage(data, subject);
  if (message === undefined) return;
  handle({ message, streamSequence: seq, time: new Date(millis(info.timestampNanos)) });
}
