// The publisher of a run's events: sent in order and tried again, without ever holding up the run.
import { randomUUID } from 'node:crypto';
import { type ConnectionOptions, Events, headers, type NatsConnection, NatsError } from 'nats';
import { printable, type Shard } from '../../api/index.ts';
import type { StageEvent } from '../events.ts';
import type { ResourceIdentity } from '../resource.ts';
import { addressOf, type EventMessage, subjectOf } from './message.ts';
import { EventQueue } from './queue.ts';
import { codeOf, connectForEver, connectionOptions, type NatsAddress, pause } from './reachability.ts';
import { ensureStream } from './stream.ts';

type Warning = Extract<StageEvent, { type: 'warning' }>;

export interface PublisherOptions extends NatsAddress {
  /** Told once that NATS is away, and of events that no server would take; by default a line on standard error. */
  warn?: (warning: Warning) => void;
  /** There is a stream, or soon will be: events wait for it. Else, without one, they go to who listens right now. */
  needsStream?: boolean;
  /** Which share of its stage this process has; absent where it has all. */
  shard?: Shard | undefined;
  /** Which attempt of its resource this process works for. */
  attempt?: number | undefined;
}

/** Sends events; never blocks and never throws, whatever NATS does. */
export interface Publisher {
  publish(resource: ResourceIdentity, event: StageEvent): void;
  /** Waits until everything is sent, at most `limitMilliseconds` (5000), then leaves. @returns how many events were not sent */
  close(limitMilliseconds?: number): Promise<number>;
}

/**
 * Starts publishing in the background: events wait in a queue until NATS has taken them, one at a time and in order.
 * @throws BadSpec for an unusable URL or credentials file; a server that is away is no error
 */
export function openPublisher(options: PublisherOptions): Publisher {
  return new NatsPublisher(options);
}

const onStandardError = ({ reason, message }: Warning) =>
  console.error(printable(`warning: ${reason}: ${message}`));

const acknowledgeWithin = 3000;

/** An event on its way: the same bytes and the same id at every try, so that the stream keeps it once. */
interface Outgoing {
  type: StageEvent['type'];
  sequence: number;
  subject: string;
  payload: string;
  id: string;
}

/** How events travel: not known yet, kept by a stream, or only heard by who listens right now. */
type Mode = 'unknown' | 'stream' | 'plain';

class NatsPublisher implements Publisher {
  readonly #warn: (warning: Warning) => void;
  readonly #makesStream: boolean;
  readonly #id = randomUUID();
  readonly #whose: Pick<EventMessage, 'shard' | 'attempt'>;
  readonly #queue = new EventQueue();
  readonly #leave = new AbortController();
  readonly #done: Promise<void>;
  #sequence = 0;
  #sending: Outgoing | undefined;
  #mode: Mode;
  #warned = false;
  #pushed = () => {};
  #reconnected = () => {};
  #flushed = () => {};

  constructor(options: PublisherOptions) {
    const { needsStream, warn = onStandardError, shard, attempt } = options;
    this.#makesStream = !needsStream;
    this.#mode = needsStream ? 'stream' : 'unknown';
    this.#warn = warn;
    this.#whose = { ...(shard && { shard }), ...(attempt !== undefined && { attempt }) };
    this.#done = this.#run(connectionOptions(options));
  }

  publish(resource: ResourceIdentity, event: StageEvent): void {
    this.#queue.push(resource, event);
    this.#pushed();
  }

  async close(limitMilliseconds = 5000): Promise<number> {
    if (this.#unsent > 0) {
      const timer = new AbortController();
      const flushed = new Promise<void>((resolve) => {
        this.#flushed = resolve;
      });
      await Promise.race([flushed, pause(limitMilliseconds, timer.signal)]);
      timer.abort();
    }
    this.#leave.abort();
    this.#pushed();
    await this.#done;
    return this.#unsent;
  }

  get #unsent(): number {
    return this.#queue.size + (this.#sending === undefined ? 0 : 1);
  }

  async #run(options: ConnectionOptions): Promise<void> {
    const { signal } = this.#leave;
    while (!signal.aborted) {
      const connection = await connectForEver(options, signal, (code) => this.#away(code));
      if (connection === undefined) return;
      // Closing ends a request that still waits for its answer.
      signal.addEventListener('abort', () => void connection.close(), { once: true });
      void this.#listen(connection);
      await this.#pump(connection);
      await connection.close();
    }
  }

  async #pump(connection: NatsConnection): Promise<void> {
    while (!this.#leave.signal.aborted && !connection.isClosed()) {
      this.#sending ??= this.#prepare();
      if (this.#sending !== undefined) await this.#deliver(connection, this.#sending);
      else {
        this.#flushed();
        await new Promise<void>((resolve) => {
          this.#pushed = resolve;
        });
      }
    }
  }

  /** The next waiting event that can be sent at all. */
  #prepare(): Outgoing | undefined {
    for (let next = this.#queue.take(); next !== undefined; next = this.#queue.take()) {
      const { resource, event } = next;
      const address = addressOf(resource);
      const sequence = this.#sequence + 1;
      const message: EventMessage = { publisher: this.#id, sequence, ...address, ...this.#whose, event };
      try {
        const subject = subjectOf({ ...address, event: event.type });
        const payload = JSON.stringify(message);
        return { type: event.type, sequence, subject, payload, id: `${this.#id}-${sequence}` };
      } catch (error) {
        this.#giveUp(event.type, (error as Error).message);
      }
    }
    return undefined;
  }

  /** Sends one event until it is taken, the connection is closed, or no server would ever take it. */
  async #deliver(connection: NatsConnection, outgoing: Outgoing): Promise<void> {
    const { signal } = this.#leave;
    for (let wait = 100; !signal.aborted && !connection.isClosed(); wait = Math.min(2000, 2 * wait)) {
      try {
        await this.#send(connection, outgoing);
        this.#sequence = outgoing.sequence;
        this.#sending = undefined;
        return;
      } catch (error) {
        const code = codeOf(error);
        if (isTooLarge(error)) {
          const bytes = Buffer.byteLength(outgoing.payload);
          this.#giveUp(outgoing.type, `${bytes} bytes are more than NATS takes of this run`);
          this.#sending = undefined;
          return;
        }
        this.#away(code);
        const reconnected = new Promise<void>((resolve) => {
          this.#reconnected = resolve;
        });
        await Promise.race([reconnected, pause(wait, signal)]);
      }
    }
  }

  async #send(connection: NatsConnection, { subject, payload, id }: Outgoing): Promise<void> {
    if (this.#mode === 'unknown' && (await ensureStream(connection))) this.#mode = 'stream';
    if (this.#mode !== 'plain') {
      try {
        await connection.jetstream().publish(subject, payload, { msgID: id, timeout: acknowledgeWithin });
        this.#mode = 'stream';
        return;
      } catch (error) {
        // Once a stream has taken an event, only its word counts: it may be starting again.
        const unheard =
          error instanceof NatsError &&
          // A stream that is full answers 503, too, with words of its own.
          error.api_error === undefined &&
          ['503', 'TIMEOUT'].includes(error.code);
        // It may also have come back without the stream.
        if (this.#mode === 'stream' && unheard && this.#makesStream) await ensureStream(connection);
        if (this.#mode === 'stream' || !unheard || connection.isClosed()) throw error;
        this.#mode = 'plain';
      }
    }
    const withId = headers();
    withId.set('Nats-Msg-Id', id);
    connection.publish(subject, payload, { headers: withId });
    await connection.flush();
  }

  async #listen(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) this.#away('DISCONNECTED');
      if (type !== Events.Reconnect) continue;
      // The server may have come back with a stream, or we with more rights.
      if (this.#mode === 'plain') this.#mode = 'unknown';
      this.#reconnected();
    }
  }

  #away(code: string): void {
    if (this.#warned || this.#leave.signal.aborted) return;
    this.#warned = true;
    this.#warn({
      type: 'warning',
      reason: 'NatsUnavailable',
      message: `NATS takes no events (${code}); the run goes on and sends them when it can`,
    });
  }

  #giveUp(type: StageEvent['type'], why: string): void {
    this.#warn({ type: 'warning', reason: 'EventNotSent', message: `a ${type} event was not sent: ${why}` });
  }
}

/** JetStream's own code: larger than the stream's largest message. */
const messageTooLarge = 10054;

/** No try will mend it; what comes after must not wait for it. */
const isTooLarge = (error: unknown): boolean =>
  error instanceof NatsError &&
  (error.code === 'MAX_PAYLOAD_EXCEEDED' || error.api_error?.err_code === messageTooLarge);
