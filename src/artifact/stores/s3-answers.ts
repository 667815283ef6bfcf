// What an S3 server says in its own words: read within bounds, and told only where it is a word of S3's.
import { PassThrough, pipeline, type Readable } from 'node:stream';

/** What an answer that is no object may come to: a page of a list has a thousand keys of a kilobyte, in XML. */
export interface AnswerLimits {
  readonly bytes: number;
  /** Tags and entities, of which a parser makes values. */
  readonly marks: number;
  /** Of the body, blanks included that say that the server is still at work. */
  readonly milliseconds: number;
}

export const answerLimits: AnswerLimits = { bytes: 16 * 2 ** 20, marks: 2 * 131_072, milliseconds: 600_000 };

const [tag, entity] = [0x3c, 0x26];

/** An answer's body, broken off where it is longer or later than any list or error: the SDK reads it whole. */
export function boundedBody(body: Readable, { bytes, marks, milliseconds }: AnswerLimits): Readable {
  const bounded = new PassThrough();
  let [bytesLeft, marksLeft] = [bytes, marks];
  body.on('data', (chunk: Buffer) => {
    bytesLeft -= chunk.length;
    for (const byte of chunk) if (byte === tag || byte === entity) marksLeft--;
    if (bytesLeft < 0 || marksLeft < 0) body.destroy(new Error('its answer is too long'));
  });
  const timer = setTimeout(() => body.destroy(new Error('its answer takes too long')), milliseconds);
  pipeline(body, bounded, () => clearTimeout(timer));
  return bounded;
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
