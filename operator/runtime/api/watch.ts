// The decoder of a watch's stream: one event a line, bounded in length and in silence.
import type { IncomingMessage } from 'node:http';
import { ApiError, apiErrorFrom, type Status } from './api-error.ts';
import { levels, parseWithoutHugeParts } from './huge-parts.ts';
import type { KubeObject } from './objects.ts';

export interface WatchEvent<T extends KubeObject> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  /** Of a bookmark, only kind and metadata.resourceVersion are there. */
  object: T;
}

export interface WatchReading {
  what: string;
  silenceMilliseconds?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** An object is at most some 2 MB in etcd; a longer line is no watch event. */
const longestLine = 64 * 1024 * 1024;

/**
 * The events of one watch response, until the server ends it.
 * @throws ApiError for another status than 200, an ERROR event (status and reason are the server's), a line that is no
 *   event (BadAnswer), silence (Timeout), a broken connection (Unreachable); the signal's reason when it aborts
 */
export async function* watchEvents<T extends KubeObject>(
  response: IncomingMessage,
  { what, silenceMilliseconds, signal }: WatchReading,
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const silence = new Silence(what, response, silenceMilliseconds);
  try {
    if (response.statusCode !== 200) {
      const answer = { status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] };
      throw apiErrorFrom(what, { ...answer, body: await textOf(response) });
    }
    for await (const line of linesOf(response, what, () => silence.broken())) {
      if (line.trim() !== '') yield eventIn<T>(line, what);
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof ApiError) throw error;
    throw new ApiError(`${what}: ${(error as Error).message}`, {
      status: 0,
      reason: 'Unreachable',
      cause: error,
    });
  } finally {
    silence.stop();
    // The rest is of no interest, and a half-open connection must not be used again.
    response.destroy();
  }
}

function eventIn<T extends KubeObject>(line: string, what: string): WatchEvent<T> {
  let event: { type?: unknown; object?: { metadata?: { resourceVersion?: unknown; name?: unknown } } };
  try {
    event = parseWithoutHugeParts(line, levels.inEvent) as typeof event;
  } catch (cause) {
    throw bad(`${what}: a line is no JSON`, cause);
  }
  if (event.type === 'ERROR') {
    const { code, message, reason, details } = event.object as Status & { code?: number };
    const status = code ?? 500;
    const retryAfterSeconds = details?.retryAfterSeconds;
    throw new ApiError(`${what}: ${message}`, { status, reason: reason ?? '', retryAfterSeconds, details });
  }
  const known = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK'].includes(event.type as string);
  const { resourceVersion, name } = event.object?.metadata ?? {};
  const whole =
    typeof resourceVersion === 'string' && (event.type === 'BOOKMARK' || typeof name === 'string');
  if (!known || !whole) throw bad(`${what}: a line is no watch event`);
  return event as WatchEvent<T>;
}

const bad = (message: string, cause?: unknown) =>
  new ApiError(message, { status: 200, reason: 'BadAnswer', cause });

/** Complete lines; what stands after the last newline when the stream ends is cut off and not a line. */
async function* linesOf(stream: IncomingMessage, what: string, heard: () => void): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    heard();
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      rest.push(chunk.subarray(start, end));
      yield Buffer.concat(rest).toString('utf8');
      rest = [];
      length = 0;
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > longestLine) throw bad(`${what}: a line is longer than ${longestLine} bytes`);
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Cuts a stream off that says nothing for too long. */
class Silence {
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(what: string, response: IncomingMessage, milliseconds: number | undefined) {
    if (milliseconds === undefined) return;
    const error = new ApiError(`${what}: silent for ${milliseconds / 1000} s`, {
      status: 0,
      reason: 'Timeout',
    });
    this.#timer = setTimeout(() => response.destroy(error), milliseconds);
  }

  broken(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
