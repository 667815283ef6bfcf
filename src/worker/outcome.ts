import { OffsiteError, printableLines } from '../api/index.ts';
import { StoreError } from '../artifact/index.ts';

/** How a stage ended; the exit code is the worker's (DESIGN.md), 1 where another try may help. */
export type StageOutcome =
  | { ok: true; status: Record<string, unknown> }
  | { ok: false; reason: string; message: string; exitCode: number; status: Record<string, unknown> };

/** Why something failed; it crosses threads as plain data. */
export interface Failure {
  reason: string;
  message: string;
  exitCode: number;
}

/** A failure that another thread told of. */
export class ToldFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Turns whatever a stage threw into a reason, a message that names what is wrong, and an exit code. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ToldFailure) return error.failure;
  if (error instanceof OffsiteError) {
    return { reason: error.reason, message: error.message, exitCode: error.exitCode };
  }
  if (error instanceof StoreError) {
    const { reason, message } = error;
    return { reason: reason === 'AccessDenied' ? reason : 'StoreUnavailable', message, exitCode: 1 };
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const message = printableLines(error instanceof Error ? error.message : String(error));
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' || /no space left/i.test(message)) {
    return {
      reason: 'NoSpace',
      message: `the disk is full: ${message}; free space there, then run again: what is done is kept`,
      exitCode: 1,
    };
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return { reason: 'AccessDenied', message, exitCode: 1 };
  }
  return { reason: 'InternalError', message, exitCode: 1 };
}
