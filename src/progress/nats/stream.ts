// The JetStream streams that keep events: made, bounded, and brought up from earlier releases.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
  nanos,
  RetentionPolicy,
  StorageType,
  type StreamAPI,
  type StreamConfig,
  type StreamInfo,
} from 'nats';

/** Everything that is told. */
export const streamName = 'OFFSITE';
/** Its results once more, where nothing else takes their room. */
export const resultsStreamName = 'OFFSITE_RESULTS';

const day = 24 * 3600 * 1000;
const mebibyte = 2 ** 20;
/** Of each subject, a run's progress say, so that no run fills the store. */
const messagesPerSubject = 100;

/** The oldest goes where the room is used up: a store that is full would refuse results, too. */
const bounded = {
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_age: nanos(7 * day),
  // The least that a server takes: an id of up to 64 KiB costs its memory for so long, and any run may send thousands a second.
  // Whoever reads knows what came twice by publisher and sequence.
  duplicate_window: nanos(100),
};

const events = {
  ...bounded,
  name: streamName,
  subjects: ['offsite.v1.>'],
  description: 'Progress, warnings and results of offsite-tuning stages',
  max_msgs_per_subject: messagesPerSubject,
  max_msg_size: mebibyte,
  max_bytes: 1024 * mebibyte,
};

const results = {
  ...bounded,
  name: resultsStreamName,
  sources: [{ name: streamName, filter_subject: 'offsite.v1.*.*.*.*.result' }],
  description: 'Results of offsite-tuning stages, copied by the server',
  max_msgs_per_subject: 16,
  max_bytes: 256 * mebibyte,
};

/** What earlier releases set. What is still so is theirs; every other value is an administrator's and stays. */
const former = {
  max_msgs_per_subject: 1000,
  max_msg_size: -1,
  max_bytes: -1,
  duplicate_window: nanos(3600_000),
} satisfies Partial<StreamConfig>;

/**
 * Makes sure that the stream OFFSITE keeps our events; one that is there stays as it is.
 * @returns false where this server has no JetStream or does not let us look; a stream may be there all the same
 * @throws what may pass with time: a lost connection, a server that is not ready
 */
export async function ensureStream(connection: NatsConnection): Promise<boolean> {
  try {
    await find(await managerOf(connection), events);
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

/**
 * The same for who reads everything, with bounds on a stream that an earlier release made without, and a second stream
 * that keeps results when progress has driven them out of the first.
 * @returns the streams to read; the first alone where the server will not have a second
 * @throws what may pass with time, and that JetStream is not there or not for us
 */
export async function ensureStreams(connection: NatsConnection): Promise<string[]> {
  const manager = await managerOf(connection);
  const first = await find(manager, events);
  try {
    const isUnbounded = first.config.max_bytes === former.max_bytes;
    if (isUnbounded) await makeRoom(manager);
    await findCopy(manager, first.created, isUnbounded ? former.max_bytes : results.max_bytes);
    // What there is no room for goes, the oldest first: results are copied before.
    if (isUnbounded) await copied(manager);
    await bind(manager, events);
    await bind(manager, results);
    return [streamName, resultsStreamName];
  } catch (error) {
    if (error instanceof NatsError && error.api_error !== undefined) return [streamName];
    throw error;
  }
}

export interface StreamRoom {
  readonly name: string;
  readonly bytes: number;
  /** Undefined where there is no limit. */
  readonly limitBytes: number | undefined;
}

/** How much of their room these streams use. */
export async function roomOf(connection: NatsConnection, names: readonly string[]): Promise<StreamRoom[]> {
  const { streams } = await managerOf(connection);
  return await Promise.all(
    names.map(async (name) => {
      const { config, state } = await streams.info(name);
      return { name, bytes: state.bytes, limitBytes: config.max_bytes > 0 ? config.max_bytes : undefined };
    }),
  );
}

/** Without a check: it would ask for the account's figures, which fewer are allowed to see. */
const managerOf = (connection: NatsConnection) =>
  connection.jetstreamManager({ checkAPI: false, timeout: 3000 });

async function find(
  { streams }: JetStreamManager,
  wanted: typeof events | typeof results,
): Promise<StreamInfo> {
  try {
    return await streams.info(wanted.name);
  } catch (error) {
    if (!isApiError(error, 404)) throw error;
  }
  return await withRoom(wanted, (max_bytes) => streams.add({ ...wanted, max_bytes }), streams);
}

/** The store may be full to the last byte: progress goes, and comes anew from every pod that runs. */
async function makeRoom({ streams }: JetStreamManager): Promise<void> {
  await streams.purge(streamName, { filter: 'offsite.v1.*.*.*.*.progress' });
}

/** A copy that is older than what it copies waits for numbers of the one before, and copies nothing: it is made anew. */
async function findCopy(manager: JetStreamManager, sourceCreated: string, max_bytes: number): Promise<void> {
  const wanted = { ...results, max_bytes };
  const copy = await find(manager, wanted);
  if (Date.parse(copy.created) >= Date.parse(sourceCreated)) return;
  await manager.streams.delete(resultsStreamName);
  await find(manager, wanted);
}

async function copied({ streams }: JetStreamManager): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const [source] = (await streams.info(resultsStreamName)).sources ?? [];
    if (source === undefined || (source.active >= 0 && source.lag === 0)) return;
    await sleep(100);
  }
}

async function bind({ streams }: JetStreamManager, wanted: typeof events | typeof results): Promise<void> {
  const { config } = await streams.info(wanted.name);
  const names = (Object.keys(former) as (keyof typeof former)[]).filter(
    (name) => name in wanted && config[name] === former[name],
  );
  if (names.length === 0) return;
  const update = (max_bytes: number) => {
    const settings = { ...wanted, max_bytes };
    const changes = names.map((name) => [name, settings[name as 'max_bytes']]);
    return streams.update(wanted.name, Object.fromEntries(changes));
  };
  await (names.includes('max_bytes') ? withRoom(wanted, update, streams) : update(wanted.max_bytes));
}

/** JetStream's own code: less room is left for this account or server than was asked for. */
const noRoom = [10047, 10028];
const leastBytes = 4 * mebibyte;

/** As much room as a stream wants; where there is less, half of it, or half of that. */
async function withRoom(
  { name, max_bytes }: typeof events | typeof results,
  make: (bytes: number) => Promise<StreamInfo>,
  streams: StreamAPI,
): Promise<StreamInfo> {
  if (max_bytes < 0) return await make(max_bytes);
  // The first stream takes no room that the second needs.
  const spare = name === streamName ? results.max_bytes / events.max_bytes : 0;
  for (let bytes = max_bytes; ; bytes /= 2) {
    try {
      const made = await make(bytes * (1 + spare));
      return spare === 0 ? made : await streams.update(name, { max_bytes: bytes });
    } catch (error) {
      const code = error instanceof NatsError ? (error.api_error?.err_code ?? 0) : 0;
      if (!noRoom.includes(code) || bytes <= leastBytes) throw error;
    }
  }
}

const isApiError = (error: unknown, status: number) =>
  error instanceof NatsError && error.api_error?.code === status;

/** JetStream's own codes: not enabled for the server, not enabled for the account. */
const notEnabled = [10076, 10039];

/** No JetStream here (503 without a body, or disabled for the account), or not for us. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false;
  if (error.api_error !== undefined) return notEnabled.includes(error.api_error.err_code ?? 0);
  return error.code === '503' || error.code === 'PERMISSIONS_VIOLATION';
}
