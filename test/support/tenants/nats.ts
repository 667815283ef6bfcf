/** Tries everything on a real NATS server, with whosever credentials, and reads in the answer whether it was permitted. */
import { setImmediate as turn } from 'node:timers/promises';
import { connect, credsAuthenticator, type NatsConnection } from 'nats';
import type { Attempt } from './attempts.ts';

export type Tried = Pick<Attempt, 'what' | 'deed' | 'permitted'>;

/** A run, by what its subjects and its inbox are named. */
export interface RunNames {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export const subjectOf = ({ namespace, kind, name, uid }: RunNames) =>
  `offsite.v1.${namespace}.${kind}.${name}.${uid}`;

export class NatsUser {
  readonly #connection: NatsConnection;
  readonly #errors: string[] = [];

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
    void this.#listen();
  }

  static async connect(url: string, credentials: string): Promise<NatsUser> {
    const authenticator = credsAuthenticator(new TextEncoder().encode(credentials));
    return new NatsUser(await connect({ servers: url, reconnect: false, authenticator }));
  }

  /** Everything that is there to be tried on one run's events. */
  async tryRun(run: RunNames): Promise<Tried[]> {
    const subject = subjectOf(run);
    const tried: Tried[] = [];
    for (const event of ['progress', 'warning', 'result'])
      tried.push({
        ...{ what: 'its events', deed: `publish ${event}` },
        permitted: await this.#may(() => this.#connection.publish(`${subject}.${event}`, '{}')),
      });
    tried.push({ what: 'its events', deed: 'hear', permitted: await this.#mayHear(`${subject}.>`) });
    tried.push({
      what: 'answers to it',
      deed: 'hear',
      permitted: await this.#mayHear(`_INBOX_${run.uid}.>`),
    });
    const below = () => this.#connection.publish(`${subject}.result.more`, '{}');
    tried.push({ what: 'what is below its events', deed: 'publish', permitted: await this.#may(below) });
    return tried;
  }

  /** Everything that is there to be tried on what all runs have in common. */
  async tryServer(): Promise<Tried[]> {
    const tried: Tried[] = [];
    for (const [what, calls] of Object.entries(apis))
      for (const [deed, [subject, body]] of Object.entries(calls))
        tried.push({ what, deed, permitted: await this.#may(() => this.#connection.publish(subject, body)) });
    for (const [what, subject] of Object.entries(heard))
      tried.push({ what, deed: 'hear', permitted: await this.#mayHear(subject) });
    return tried;
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #mayHear(subject: string): Promise<boolean> {
    let subscription: { unsubscribe(): void } | undefined;
    const permitted = await this.#may(() => {
      subscription = this.#connection.subscribe(subject, { callback: () => {} });
    });
    // A run may hear one subject at a time.
    subscription?.unsubscribe();
    await this.#connection.flush();
    return permitted;
  }

  /** The server says a refusal before it answers the ping that follows. */
  async #may(act: () => void): Promise<boolean> {
    const before = this.#errors.length;
    act();
    await this.#connection.flush();
    await turn();
    const said = this.#errors.slice(before);
    const others = said.filter((error) => !/permissions.violation/i.test(error));
    if (others.length > 0) throw new Error(others.join('; '));
    return said.length === 0;
  }

  async #listen(): Promise<void> {
    for await (const { type, data } of this.#connection.status())
      if (type === 'error') this.#errors.push(String(data));
  }
}

/** Requests without an answer to hear: whether they may be sent is all that is asked. Bodies that change nothing. */
const apis: Record<string, Record<string, [subject: string, body: string]>> = {
  'the stream of all events': {
    'read about': ['$JS.API.STREAM.INFO.OFFSITE', ''],
    'make a reader': ['$JS.API.CONSUMER.CREATE.OFFSITE.tried.offsite.v1.>', '{}'],
    'take a message': ['$JS.API.STREAM.MSG.GET.OFFSITE', '{"seq":1000000}'],
    'take the last of a subject': ['$JS.API.DIRECT.GET.OFFSITE', '{"seq":1000000}'],
    'list streams': ['$JS.API.STREAM.NAMES', ''],
    change: ['$JS.API.STREAM.UPDATE.OFFSITE', '{}'],
    purge: ['$JS.API.STREAM.PURGE.OFFSITE', '{"seq":-1}'],
    'delete a message': ['$JS.API.STREAM.MSG.DELETE.OFFSITE', '{"seq":1000000}'],
    delete: ['$JS.API.STREAM.DELETE.OFFSITE', '{"tried":true}'],
  },
  'the stream, as it answers watchers': {
    'read about': ['$JS.offsite.API.STREAM.INFO.OFFSITE', ''],
    'take a message': ['$JS.offsite.API.STREAM.MSG.GET.OFFSITE', '{"seq":1000000}'],
  },
  "the operator's own reader": {
    'take from': ['$JS.API.CONSUMER.MSG.NEXT.OFFSITE.offsite-operator', '{"no_wait":true,"batch":0}'],
    acknowledge: ['$JS.ACK.OFFSITE.offsite-operator.1.1000000.1000000.1.1', '-NAK'],
    delete: ['$JS.API.CONSUMER.DELETE.OFFSITE.offsite-operator', '{"tried":true}'],
  },
  'the server': { ask: ['$SYS.REQ.SERVER.PING', ''] },
};

const heard = {
  "everybody's events": 'offsite.v1.>',
  "everybody's answers": '_INBOX.>',
  everything: '>',
};
