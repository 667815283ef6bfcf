// The choice of a display: bars, plain lines or JSON lines.
import { BarsTerminal } from './bars.ts';
import { JsonTerminal, LinesTerminal } from './lines.ts';
import type { Terminal } from './terminal.ts';

export interface TerminalOptions {
  /** One JSON object a line on `out`, for scripts. */
  json?: boolean;
  /** Bars and lines go here (standard error), so that standard output stays the result's. */
  stream?: NodeJS.WriteStream;
  /** JSON lines go here (standard output). */
  out?: NodeJS.WritableStream;
}

/** Live bars where `stream` is a terminal, plain lines otherwise, JSON lines when asked for. */
export function openTerminal(options: TerminalOptions = {}): Terminal {
  const { json = false, stream = process.stderr, out = process.stdout } = options;
  if (json) return new JsonTerminal(out);
  return stream.isTTY && process.env['TERM'] !== 'dumb'
    ? new BarsTerminal(stream)
    : new LinesTerminal(stream);
}
