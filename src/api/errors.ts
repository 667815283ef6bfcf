// The errors that users are shown: each has a reason, which settles condition and exit code, and a printable message.
import { type ErrorReason, exitCodes } from './pod/exit-codes.ts';
import { printable } from './printable.ts';

/** Why a stage stopped for good: the Failed condition's reason. */
export type { ErrorReason };

/**
 * An error that a user can act on. Its message names the field, row or file and what is right, and quotes no data; names that
 * came from outside are printable in it, and end no line of it: only a list of messages has several lines.
 */
export class OffsiteError extends Error {
  readonly reason: ErrorReason;

  constructor(reason: ErrorReason, message: string | readonly string[], options?: ErrorOptions) {
    super([message].flat().map(printable).join('\n'), options);
    this.name = 'OffsiteError';
    this.reason = reason;
  }

  /** The exit code of a worker that ends with this error. */
  get exitCode(): number {
    return exitCodes[this.reason];
  }
}

export const badSpec = (message: string | readonly string[], options?: ErrorOptions) =>
  new OffsiteError('BadSpec', message, options);
export const badData = (message: string, options?: ErrorOptions) =>
  new OffsiteError('BadData', message, options);
export const badModel = (message: string, options?: ErrorOptions) =>
  new OffsiteError('BadModel', message, options);
export const gateFailed = (message: string, options?: ErrorOptions) =>
  new OffsiteError('GateFailed', message, options);
export const engineUnavailable = (message: string, options?: ErrorOptions) =>
  new OffsiteError('EngineUnavailable', message, options);
export const cancelled = (message: string, options?: ErrorOptions) =>
  new OffsiteError('Cancelled', message, options);

/** The system's own error with the file that it is about, where the call named none. */
export const withPath = (error: unknown, path: string): Error =>
  (error as NodeJS.ErrnoException).path === undefined
    ? Object.assign(error as Error, { path, message: `${(error as Error).message} '${path}'` })
    : (error as Error);
