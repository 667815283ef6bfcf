import { BarsTerminal } from './bars.ts';
import type { StageEvent } from './events.ts';
import { JsonTerminal, LinesTerminal } from './lines.ts';

/** What names the resource that an event is about. */
export interface ResourceIdentity {
  kind: string;
  metadata: { name: string; namespace?: string | undefined; uid?: string | undefined };
}

/** A resource that has ended, with what a reader must know of its status. */
export interface FinishedResource {
  resource: ResourceIdentity;
  status: {
    phase?: string | undefined;
    conditions?: readonly { type: string; status: string; reason: string; message: string }[] | undefined;
  };
}

/** Shows the events of a run to whoever started it. */
export interface Terminal {
  event(resource: ResourceIdentity, event: StageEvent): void;
  finished(finished: FinishedResource): void;
  /** Draws what is left and gives the terminal back; call it also when the run threw. */
  close(): void;
}

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
