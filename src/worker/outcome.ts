// How a stage ended: any error as a reason, a message and an exit code.
import { type FailureReason, mendable, OffsiteError, printable } from '../api/index.ts';
import { StoreError, TakenOver } from '../artifact/index.ts';
import { systemFaultOf } from './system-fault.ts';

/** How a stage ended; the exit code is the worker's, 1 where another try may help. */
export type StageOutcome =
  | { ok: true; status: Record<string, unknown> }
  | ({ ok: false; status: Record<string, unknown> } & Failure);

/** Why something failed; it crosses threads as plain data. */
export interface Failure {
  reason: FailureReason;
  message: string;
  exitCode: number;
  /** The file that the system had trouble with, where it names one. */
  path?: string;
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
    return { reason: reason === 'AccessDenied' ? reason : 'StoreUnavailable', message, exitCode: mendable };
  }
  if (error instanceof TakenOver)
    return { reason: 'TakenOver', message: printable(error.message), exitCode: mendable };
  const message = printable(error instanceof Error ? error.message : String(error));
  const fault = systemFaultOf(error);
  if (fault !== undefined) {
    const { path } = error as NodeJS.ErrnoException;
    const { reason, exitCode, wrong, right } = fault;
    const words = right === undefined ? `${wrong}: ${message}` : `${wrong}: ${message}; ${right}`;
    return { reason, exitCode, message: words, ...(path !== undefined && { path }) };
  }
  return { reason: 'InternalError', message, exitCode: mendable };
}
