// Structured logs, of which each line can be traced to its reconcile.
import { type DestinationStream, pino } from 'pino';
import { presentReconcile } from './reconcile.ts';

/** The part of a pino logger that the runtime uses. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** JSON lines, standard output by default; LOG_LEVEL sets the level (info). Each line of a reconcile has its id, controller and key. */
export const logTo = (destination?: DestinationStream) =>
  pino({ level: process.env['LOG_LEVEL'] ?? 'info', mixin: presentReconcile }, destination);

export const operatorLog = logTo();

/** What a log line says of an error: never a request's body or headers. */
export const toldOf = (error: unknown): { error: string; code?: number; reason?: string } => {
  if (!(error instanceof Error)) return { error: String(error) };
  const { status, reason } = error as { status?: unknown; reason?: unknown };
  return {
    error: error.message,
    ...(typeof status === 'number' && { code: status }),
    ...(typeof reason === 'string' && { reason }),
  };
};
