// The stream by requests alone, each answered with one message: watchers make no reader of their own in the server.
import { type LastForMsgRequest, type NatsConnection, NatsError, type StoredMsg, type StreamAPI } from 'nats';
import type { RawMessage } from './ordered.ts';
import { codeOf, pause } from './reachability.ts';
import { streamName } from './stream.ts';

/** Where the stream answers who is of its own account. */
export const streamsApi = '$JS.API';
/** Where it answers watchers of another: under JetStream's own subjects their account's JetStream would answer, too, which is none. */
export const watchersApi = '$JS.offsite.API';

/** How long nothing is asked when all was heard, in ms. */
const betweenLooks = 500;
/** Of one answer, in ms: on a slow link a large result takes its time, and is asked for again otherwise. */
const longestAnswer = 15_000;
const mostAtOnce = 32;

/**
 * What the stream keeps of a subject, and what comes, in its order, until `signal` is aborted; also of one that was made anew.
 * @param apiPrefix where the stream answers
 * @param from as `watchEvents` has it
 * @param failed told, with a code, of what failed and is tried again
 */
export async function* fetchMessages(
  connection: NatsConnection,
  apiPrefix: string,
  subject: string,
  from: 'all' | 'last' | 'new',
  signal: AbortSignal,
  failed: (code: string) => void,
): AsyncGenerator<RawMessage> {
  const { streams } = await connection.jetstreamManager({
    ...{ apiPrefix, checkAPI: false, timeout: longestAnswer },
  });
  let next: number | undefined;
  let made: string | undefined;
  while (!signal.aborted && !connection.isClosed()) {
    try {
      const { created, last } = await stateOf(streams);
      if (next === undefined) {
        if (from === 'last') yield* lastOfEach(streams, subject);
        next = from === 'all' ? 1 : last + 1;
      }
      // It was made anew, with numbers from 1, or brought back as it was before.
      if (created !== (made ?? created) || last < next - 1) next = 1;
      made = created;
      for (let atOnce = 1; next <= last && !signal.aborted; ) {
        const found = await messagesFrom(streams, subject, next, atOnce);
        yield* found;
        next = (found.at(-1)?.seq ?? last) + 1;
        // Where others' messages lie between, most requests would find the same one.
        atOnce = found.length === atOnce ? Math.min(mostAtOnce, 2 * atOnce) : Math.max(1, found.length);
      }
    } catch (error) {
      if (!(error instanceof NatsError)) throw error;
      // All that a stream has that is not there yet is new.
      if (isMissing(error)) next ??= 1;
      else if (!connection.isClosed()) failed(codeOf(error));
    }
    await pause(betweenLooks, signal);
  }
}

async function* lastOfEach(streams: StreamAPI, subject: string): AsyncGenerator<StoredMsg> {
  const { subjects: numbered } = await stateOf(streams, subject);
  const subjects = Object.keys(numbered ?? {});
  for (let i = 0; i < subjects.length; i += mostAtOnce) {
    const some = subjects.slice(i, i + mostAtOnce);
    yield* inOrder(await Promise.all(some.map((one) => found(streams, { last_by_subj: one }))));
  }
}

/** The first at or after each of so many numbers: of these numbers, all that are the subject's. */
async function messagesFrom(
  streams: StreamAPI,
  subject: string,
  first: number,
  count: number,
): Promise<StoredMsg[]> {
  const numbers = Array.from({ length: count }, (_, i) => first + i);
  return inOrder(await Promise.all(numbers.map((seq) => found(streams, { seq, next_by_subj: subject }))));
}

type Query = LastForMsgRequest | { readonly seq: number; readonly next_by_subj: string };

async function found(streams: StreamAPI, query: Query): Promise<StoredMsg | undefined> {
  try {
    // The client sends what it is given; its type for this call lacks some of what the server takes.
    const message = await streams.getMessage(streamName, query as LastForMsgRequest);
    if (!answers(message, query)) throw stray();
    return message;
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === noMessage) return undefined;
    throw strayFor(error);
  }
}

/** Another watcher may have the server send its answers here: what was not asked is asked again. */
function answers(message: StoredMsg, query: Query): boolean {
  return 'seq' in query
    ? message.seq >= query.seq && isOf(message.subject, query.next_by_subj)
    : message.subject === query.last_by_subj;
}

/** Whether a subject is one of a pattern's: `*` stands for one part, `>` for all that follow. */
function isOf(subject: string, pattern: string): boolean {
  const [parts, wanted] = [subject.split('.'), pattern.split('.')];
  const rest = wanted.at(-1) === '>' ? wanted.length - 1 : undefined;
  if (rest === undefined ? parts.length !== wanted.length : parts.length <= rest) return false;
  return wanted.slice(0, rest).every((part, i) => part === '*' || part === parts[i]);
}

async function stateOf(streams: StreamAPI, subject?: string) {
  const options = subject === undefined ? undefined : { subjects_filter: subject };
  const { created, state } = await streams.info(streamName, options).catch((error: unknown) => {
    throw strayFor(error);
  });
  if (typeof created !== 'string' || typeof state?.last_seq !== 'number') throw stray();
  return { created, last: state.last_seq, subjects: state.subjects };
}

const stray = () => new NatsError('an answer to what was not asked', 'STRAY_ANSWER');

/** The client takes it for granted that an answer is of the form that it asked for. */
const strayFor = (error: unknown) => (error instanceof TypeError ? stray() : error);

function inOrder(messages: readonly (StoredMsg | undefined)[]): StoredMsg[] {
  const bySequence = new Map(messages.flatMap((message) => (message ? [[message.seq, message]] : [])));
  return [...bySequence.values()].sort((a, b) => a.seq - b.seq);
}

/** JetStream's own code. */
const noMessage = 10037;

const isMissing = ({ api_error }: NatsError) => api_error?.code === 404;
