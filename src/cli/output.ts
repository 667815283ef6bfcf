// Standard output and standard error as what may go away: a reader ends, a terminal is closed, a device is full.

export interface LostOutput {
  readonly message: string;
  /** Whoever read it has ended, and knows. */
  readonly isReaderGone: boolean;
}

/** Writes a line, or several, to standard output; resolves when it is written or lost. */
export const print = (text: string): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(`${text}\n`, () => resolve());
  });

/**
 * From now on, lost output ends no process by itself. `lost` is told of standard output, whatever is wrong with it, and of
 * standard error when nobody is left who could read it; that its device is full stops nothing.
 */
export function onLostOutput(lost: (what: LostOutput) => void): void {
  const tell = (stream: string, { code, message }: NodeJS.ErrnoException) =>
    lost({ message: `${stream} cannot be written to: ${message}`, isReaderGone: code === 'EPIPE' });
  process.stdout.on('error', (error) => tell('standard output', error));
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') tell('standard error', error);
  });
}

/** A command whose output was lost has not done what it was asked for: it ends with code 1, and says why to who still reads. */
export function failOnLostOutput(): void {
  let first: LostOutput | undefined;
  onLostOutput((what) => {
    first ??= what;
  });
  process.on('exit', (code) => {
    if (first === undefined || code !== 0) return;
    if (!first.isReaderGone) console.error(`offsite: ${first.message}`);
    process.exitCode = 1;
  });
}
