// The operator's durable consumers: all events of all runs, at least once, and whether the store still takes them.
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  AckPolicy,
  type Consumer,
  type ConsumerInfo,
  DeliverPolicy,
  Events,
  type JsMsg,
  millis,
  type NatsConnection,
  NatsError,
  nanos,
} from 'nats';
import { printable } from '../../api/index.ts';
import { decodeMessage, type EventMessage } from './message.ts';
import { codeOf, connectForEver, connectionOptions, type NatsAddress, pause } from './reachability.ts';
import { ensureStreams, roomOf, type StreamRoom } from './stream.ts';

export interface ConsumeOptions extends NatsAddress {
  /** The consumer's name: who comes again under it goes on where it was. */
  durable: string;
  signal: AbortSignal;
  /** Told when NATS is heard, with what was said before, and when it cannot be. */
  connected: (connected: boolean) => void;
  /** Asked before each message: who no longer may take it leaves it to who comes next. By default one always may. */
  mayTake?: (() => boolean) | undefined;
  /** Told, now and then while NATS is heard, whether it takes events, and how full it is. */
  store?: ((state: StoreState) => void) | undefined;
  /** Told, with a code, of what failed and is tried again. */
  failed?: ((code: string) => void) | undefined;
}

export interface StoreState {
  /** Whether an event that was published on trial was kept. */
  readonly accepts: boolean;
  readonly streams: readonly StreamRoom[];
}

/** A message as the stream keeps it. */
export interface Delivered {
  message: EventMessage;
  /** Nanoseconds; what was published later has a higher one, also when it is delivered again, or from another stream. */
  order: number;
  time: Date;
}

const all = 'offsite.v1.>';
/** No event's subject: it is nobody's. */
const trialSubject = 'offsite.v1.trial';
const betweenTrials = 30_000;
const longestWait = 30_000;

/** What a consumer must be; every release so far has made it so, and shares it with the one before during an upgrade. */
const consumerSettings = {
  filter_subject: all,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(30_000),
  max_ack_pending: 1000,
};

/** Messages that wait are taken for so long, in ms; then it is the turn of all else: the lease, the API server's events. */
const longestTurn = 20;

/**
 * A short heartbeat: a server that came back without our consumer is noticed within seconds. Few messages at a time: a run's may
 * have 256 KiB, and a server cuts off who leaves more unread than it may keep (8 MB, by the chart).
 */
const heartbeat = {
  max_messages: 24,
  expires: 5000,
  idle_heartbeat: 1000,
  abort_on_missing_resource: true,
};

/**
 * Every event of the streams, by consumers that outlive this process: first the last of each subject (what was told before
 * may be forgotten here), then all that was not acknowledged and all that comes. May tell twice, and out of order; what is
 * no event of ours, or lies about whom it is from, is dropped. A message is acknowledged when `handle` has returned.
 * @throws BadSpec for an unusable URL or credentials file
 */
export async function consumeEvents(
  options: ConsumeOptions,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const { signal, failed = () => {}, connected } = options;
  // Nothing that a message says may end the listening to all others.
  const take = (delivered: Delivered) => {
    if (signal.aborted) return;
    try {
      handle(delivered);
    } catch {
      failed('EVENT_NOT_TAKEN');
    }
  };
  const settings = connectionOptions(options);
  const connection = await connectForEver(settings, signal, failed);
  if (connection === undefined) return;
  signal.addEventListener('abort', () => void connection.close(), { once: true });
  const following = followForEver(connection, options, take);
  // Of what the client library leaves open on a connection that was closed, not all is ever settled.
  following.catch(() => {});
  await Promise.race([following, abortOf(signal)]);
  connected(false);
  await connection.close();
}

const abortOf = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });

/** Follows the streams, again and again, until the signal aborts or the connection is closed. */
async function followForEver(
  connection: NatsConnection,
  options: ConsumeOptions,
  take: (delivered: Delivered) => void,
): Promise<void> {
  const { signal, failed = () => {}, connected } = options;
  const state = { following: false, replayed: new Set<string>() };
  void listen(connection, options, (heard) => connected(heard && state.following));
  let wait = 500;
  while (!signal.aborted && !connection.isClosed()) {
    try {
      const streams = await ensureStreams(connection);
      for (const stream of streams.filter((name) => !state.replayed.has(name))) {
        await replayLast(connection, stream, signal, take);
        state.replayed.add(stream);
      }
      const consumers = [];
      for (const stream of streams) consumers.push(await consumerOf(connection, stream, options.durable));
      state.following = true;
      connected(!signal.aborted);
      wait = 500;
      await follow(connection, consumers, streams, options, take);
    } catch (error) {
      if (!(error instanceof NatsError)) throw error;
      if (!signal.aborted) failed(codeOf(error));
    }
    state.following = false;
    if (!signal.aborted) connected(false);
    await pause(wait, signal);
    wait = Math.min(longestWait, 2 * wait);
  }
}

/** Tells of the connection, which the client library makes again by itself; of each kind of its failures once. */
async function listen(
  connection: NatsConnection,
  { signal, failed = () => {} }: ConsumeOptions,
  connected: (connected: boolean) => void,
): Promise<void> {
  const told = new Set<string>();
  for await (const { type, data } of connection.status()) {
    if (type === Events.Disconnect) connected(false);
    if (type === Events.Reconnect) {
      connected(true);
      told.clear();
    }
    if (type !== Events.Disconnect && type !== Events.Error) continue;
    const code = type === Events.Disconnect ? 'DISCONNECTED' : printable(String(data));
    if (!signal.aborted && !told.has(code)) failed(code);
    told.add(code);
  }
}

/**
 * The last progress and result of each resource, once: the memory of what was acknowledged by a process that is gone.
 * A warning is no state: that process has told it, and told again it would look new.
 */
async function replayLast(
  connection: NatsConnection,
  stream: string,
  signal: AbortSignal,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const consumer = await connection
    .jetstream()
    .consumers.get(stream, { filterSubjects: all, deliver_policy: DeliverPolicy.LastPerSubject });
  if ((await consumer.info()).num_pending === 0) return;
  const remember = (delivered: Delivered) => {
    if (delivered.message.event.type !== 'warning') handle(delivered);
  };
  await each(consumer, signal, (message) => {
    tell(message, remember);
    return message.info.pending > 0;
  });
}

/**
 * Our consumer as it must be. One that somebody made or changed otherwise is put right, and where that cannot be, made anew:
 * what was told before is then told again, which does no harm.
 */
async function consumerOf(connection: NatsConnection, stream: string, durable: string): Promise<Consumer> {
  const { consumers } = await connection.jetstreamManager({ checkAPI: false });
  const make = () => consumers.add(stream, { durable_name: durable, ...consumerSettings });
  try {
    await make();
  } catch (error) {
    if (!hasApiError(error)) throw error;
    try {
      if (!isRight(await consumers.update(stream, durable, consumerSettings))) throw error;
    } catch (cause) {
      if (!hasApiError(cause)) throw cause;
      await consumers.delete(stream, durable);
      await make();
    }
  }
  return await connection.jetstream().consumers.get(stream, durable);
}

const isRight = ({ config }: ConsumerInfo): boolean =>
  config.deliver_subject === undefined &&
  Object.entries(consumerSettings).every(([name, value]) => config[name as keyof typeof config] === value);

const hasApiError = (error: unknown): boolean => error instanceof NatsError && error.api_error !== undefined;

/** Reads all of them until one is gone, or the connection, or the signal aborts. */
async function follow(
  connection: NatsConnection,
  consumers: readonly Consumer[],
  streams: readonly string[],
  { signal, store = () => {}, mayTake = () => true }: ConsumeOptions,
  handle: (delivered: Delivered) => void,
): Promise<void> {
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  const reading = consumers.map(async (consumer) => {
    try {
      await each(consumer, until, (message) => {
        if (mayTake()) {
          tell(message, handle);
          message.ack();
        } else message.nak();
        return true;
      });
    } finally {
      ended.abort();
    }
  });
  await Promise.all([...reading, tryStore(connection, streams, until, store)]);
}

/** Looks whether events are kept: a store that is full, or without a disk, says so to who publishes only. */
async function tryStore(
  connection: NatsConnection,
  streams: readonly string[],
  signal: AbortSignal,
  tell: (state: StoreState) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const accepts = await connection
        .jetstream()
        .publish(trialSubject, '', { timeout: 5000 })
        .then(
          () => true,
          () => false,
        );
      const room = await roomOf(connection, streams);
      if (!signal.aborted) tell({ accepts, streams: room });
    } catch (error) {
      // Who reads notices what is wrong with the connection.
      if (!(error instanceof NatsError)) throw error;
    }
    await pause(betweenTrials, signal);
  }
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
  if (signal.aborted) stop();
  try {
    let turn = performance.now();
    for await (const message of messages) {
      if (!take(message)) break;
      if (performance.now() - turn < longestTurn) continue;
      await nextTurn();
      turn = performance.now();
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await messages.close();
  }
}

function tell({ data, subject, info }: JsMsg, handle: (delivered: Delivered) => void): void {
  const message = decodeMessage(data, subject);
  if (message === undefined) return;
  const order = info.timestampNanos;
  handle({ message, order, time: new Date(millis(order)) });
}
