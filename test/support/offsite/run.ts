import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const command = fileURLToPath(new URL('../../../bin/offsite.js', import.meta.url));

export interface Options {
  /** Modules that Node loads first, on the main thread and the compute thread. */
  preload?: readonly string[];
  environment?: Readonly<Record<string, string>>;
  /** What starts Node, such as `nice`; its arguments come before Node's path. */
  through?: readonly string[];
  /** Told of every line of standard output as it comes. */
  onLine?: (line: string, child: ChildProcess) => void;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  milliseconds: number;
}

/** The real CLI as a process of its own, still running. */
export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
}

export function startOffsite(args: readonly string[], options: Options = {}): Running {
  const { preload = [], environment = {}, through = [], onLine } = options;
  const node = [process.execPath, ...preload.flatMap((module) => ['--import', module]), command, ...args];
  const [program, ...rest] = [...through, ...node] as [string, ...string[]];
  const started = performance.now();
  const child = spawn(program, rest, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  createInterface({ input: child.stdout }).on('line', (line) => {
    texts.stdout += `${line}\n`;
    onLine?.(line, child);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    texts.stderr += String(chunk);
  });
  const ended = once(child, 'close').then(
    ([code, signal]): Ended => ({ code, signal, ...texts, milliseconds: performance.now() - started }),
  );
  return { child, ended };
}

/** Runs the CLI to its end. */
export const offsite = (args: readonly string[], options: Options = {}): Promise<Ended> =>
  startOffsite(args, options).ended;
