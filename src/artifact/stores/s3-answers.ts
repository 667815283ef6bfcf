// What an S3 server says in its own words: read within bounds, and told only where it is a word of S3's.
import { pipeline, type Readable, Transform } from 'node:stream';

/** What an answer that is no object may come to: a page of a list has a thousand keys of a kilobyte, in XML. */
export interface AnswerLimits {
  readonly bytes: number;
  /** Tags, entities and attributes, of which a parser makes values. */
  readonly marks: number;
  /** Bytes of one text or tag: a key has a kilobyte. */
  readonly text: number;
  /** Of the body, blanks included that say that the server is still at work. */
  readonly milliseconds: number;
  /** Of the headers to a question; to what is sent it takes as long as the body, and a second for every 16 KiB. */
  readonly headers: number;
}

export const answerLimits: AnswerLimits = {
  bytes: 16 * 2 ** 20,
  marks: 2 * 131_072,
  text: 65_536,
  milliseconds: 600_000,
  headers: 60_000,
};

const tag = 0x3c;
const marked: ReadonlySet<number> = new Set(Buffer.from('<&="\''));

/** What comes in smaller pieces is gathered: each piece that waits takes some hundred bytes, and a server may send single ones. */
const leastPiece = 65_536;

/** An answer's body, broken off where it is longer or later than any list or error: the SDK reads it whole. */
export function boundedBody(body: Readable, { bytes, marks, text, milliseconds }: AnswerLimits): Readable {
  let [bytesLeft, marksLeft, textLeft] = [bytes, marks, text];
  const isTooLong = (chunk: Buffer) => {
    bytesLeft -= chunk.length;
    for (const byte of chunk) {
      if (marked.has(byte)) marksLeft--;
      textLeft = byte === tag ? text : textLeft - 1;
      if (textLeft < 0) break;
    }
    return bytesLeft < 0 || marksLeft < 0 || textLeft < 0;
  };
  const gathered: Buffer[] = [];
  let size = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _, done) {
      if (isTooLong(chunk)) return done(new Error('its answer is too long'));
      gathered.push(chunk);
      size += chunk.length;
      if (size < leastPiece) return done();
      size = 0;
      done(null, Buffer.concat(gathered.splice(0)));
    },
    flush(done) {
      done(null, Buffer.concat(gathered));
    },
  });
  const timer = setTimeout(() => body.destroy(new Error('its answer takes too long')), milliseconds);
  pipeline(body, bounded, () => clearTimeout(timer));
  return bounded;
}

interface Asked {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}
type Handle<Answer> = (asked: Asked, options?: object) => Promise<Answer>;

/**
 * A handler whose answers' headers come in time: a server that sends one letter now and then is not silent.
 * @returns it throws TimeoutError, which the SDK tries again
 */
export function withinTime<Answer>(
  handle: Handle<Answer>,
  { headers, milliseconds }: AnswerLimits,
): Handle<Answer> {
  return async (asked, options = {}) => {
    const { method, headers: told } = asked;
    const isQuestion = method === 'GET' || method === 'HEAD';
    const sent = Number(told['content-length'] ?? 0);
    const within = isQuestion ? headers : milliseconds + (1000 * sent) / 2 ** 14;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), within);
    const { abortSignal: stop } = options as { abortSignal?: AbortSignal };
    try {
      const abortSignal = stop === undefined ? late.signal : AbortSignal.any([stop, late.signal]);
      return await handle(asked, { ...options, abortSignal });
    } catch (error) {
      if (!late.signal.aborted || stop?.aborted) throw error;
      throw Object.assign(new Error('its answer takes too long'), { name: 'TimeoutError' });
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The keys that a wrong Secret shows itself by. */
export const wrongKeys: ReadonlySet<string> = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'AuthorizationHeaderMalformed',
  'CredentialsProviderError',
  'InvalidToken',
  // What versitygw calls an unknown access key.
  'XAdminUserNotFound',
]);

/** Those of S3 and its like that may be met here (Amazon S3 API Reference, Error Responses). */
const codes: ReadonlySet<string> = new Set([
  ...wrongKeys,
  ...'AccessDenied AccountProblem AllAccessDisabled BadDigest BadRequest ConditionalRequestConflict'.split(
    ' ',
  ),
  ...'EntityTooLarge EntityTooSmall ExpiredToken Forbidden IncompleteBody InternalError'.split(' '),
  ...'InvalidArgument InvalidBucketName InvalidDigest InvalidObjectState InvalidPart'.split(' '),
  ...'InvalidPartOrder InvalidRange InvalidRequest InvalidSecurity KeyTooLongError MalformedXML'.split(' '),
  ...'MethodNotAllowed MissingContentLength NoSuchBucket NoSuchKey NoSuchUpload NotImplemented'.split(' '),
  ...'NotFound OperationAborted PermanentRedirect PreconditionFailed QuotaExceeded'.split(' '),
  ...'RequestTimeTooSkewed RequestTimeout ServiceUnavailable SlowDown TemporaryRedirect'.split(' '),
]);

/** A server may say anything, also what it was told: its reader's key, or the token of a session. */
export const knownCode = (code: string | undefined, status: number | undefined): string =>
  code !== undefined && codes.has(code) ? code : `status ${status ?? 'unknown'}`;
