// Errors of requests to the Kubernetes API, whether the server answered with a Status or not at all.

/** What an API server's Status object tells. */
export interface Status {
  message?: string;
  reason?: string;
  details?: { retryAfterSeconds?: number; causes?: { reason?: string; field?: string; message?: string }[] };
}

/**
 * A request that did not succeed. `status` is the HTTP status, or 0 when no answer came; `reason` is the API server's
 * word (NotFound, Conflict, Invalid, ...) or one of ours: Unreachable, Timeout, BadAnswer, TooLarge, NotLeading.
 */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  /** What the server asked for, at most a minute: whoever says more would stop us with one header. */
  readonly retryAfterSeconds: number | undefined;
  readonly details: Status['details'] | undefined;

  constructor(
    message: string,
    options: {
      status: number;
      reason: string;
      retryAfterSeconds?: number | undefined;
      details?: Status['details'] | undefined;
      cause?: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.name = 'ApiError';
    this.status = options.status;
    this.reason = options.reason;
    this.retryAfterSeconds = heeded(options.retryAfterSeconds);
    this.details = options.details;
  }
}

const longestHeededSeconds = 60;

/** A body's figure may be anything. */
const heeded = (asked: unknown): number | undefined =>
  typeof asked === 'number' && asked >= 0 ? Math.min(asked, longestHeededSeconds) : undefined;

/** @param what the request in words, such as "get Job default/words" */
export function apiErrorFrom(
  what: string,
  answer: { status: number; retryAfter: string | undefined; body: string },
): ApiError {
  const { message, reason, details } = statusIn(answer.body);
  return new ApiError(`${what}: ${message ?? `HTTP ${answer.status}`}`, {
    status: answer.status,
    reason: reason || reasonOf(answer.status),
    retryAfterSeconds: secondsIn(answer.retryAfter) ?? details?.retryAfterSeconds,
    details,
  });
}

/**
 * Whether an answer says that the operator has no right to what it asked. Quotas, namespaces that end and admission answer
 * 403 too, in other words.
 */
export const lacksRight = ({ status, body }: { status: number; body: string }): boolean =>
  status === 403 && /\bUser "[^"]*" cannot /.test(statusIn(body).message ?? '');

function statusIn(body: string): Status {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Status) : {};
  } catch {
    // A proxy's page, or the plain text of an overloaded server; it may be long and says nothing more.
    return {};
  }
}

/** Retry-After: seconds, or a date. */
export function secondsIn(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : (Date.parse(header) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

const reasons: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  410: 'Gone',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
};
const reasonOf = (status: number) => reasons[status] ?? (status >= 500 ? 'InternalError' : 'BadRequest');

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.status === 404;
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiError && error.status === 409 && error.reason === 'AlreadyExists';
export const isConflict = (error: unknown): boolean =>
  error instanceof ApiError && error.status === 409 && error.reason !== 'AlreadyExists';
/** The watch's resourceVersion or the list's continue token is too old. */
export const isGone = (error: unknown): boolean => error instanceof ApiError && error.status === 410;
