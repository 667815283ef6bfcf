// Loaded by Node before the CLI (--import), on every thread: counts what changes the file system, and at one of these
// calls kills the process or lets the call fail, as OFFSITE_FAULT says. The CLI itself knows nothing of it.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** What is done to which call. */
export interface Fault {
  /** One line a call, over all threads: its number of lines is the number of calls. */
  log: string;
  /** Only calls whose line matches this regular expression count; all when absent. */
  of?: string;
  /** Which call, counted from 1; none when absent. */
  at?: number;
  /** Killed: before it, after half of its bytes, after it. Or it does not return, or fails with an error code. */
  action?: 'kill' | 'torn' | 'after' | 'hang' | 'ENOSPC' | 'EIO';
}

const fault = JSON.parse(process.env['OFFSITE_FAULT'] ?? '{}') as Fault;
const original = { ...fs };
const counting = new RegExp(fault.of ?? '');
const log = fs.openSync(fault.log, 'a');
const lineLength = 256;
const changing = [
  'openSync',
  'writeSync',
  'writeFileSync',
  'fsyncSync',
  'renameSync',
  'rmSync',
  'mkdirSync',
  'copyFileSync',
] as const;
const descriptors = new Map<number, string>();

for (const name of changing) {
  const real = original[name] as (...args: unknown[]) => unknown;
  Object.assign(fs, {
    [name]: (...args: unknown[]) => {
      if (name === 'openSync' && !/[wa+]/.test(String(args[1]))) return real(...args);
      if (name === 'rmSync' && !original.existsSync(args[0] as string)) return real(...args);
      const place = typeof args[0] === 'number' ? (descriptors.get(args[0]) ?? 'stream') : String(args[0]);
      if (place === 'stream') return real(...args);
      const line = `${name} ${place}`;
      if (!counting.test(line) || count(line) !== fault.at) return remember(name, args, real(...args));
      return strike(name, args, real, place);
    },
  });
}
syncBuiltinESMExports();

function strike(
  name: string,
  args: unknown[],
  real: (...args: unknown[]) => unknown,
  place: string,
): unknown {
  const { action } = fault;
  if (action === 'kill') die();
  if (action === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (action === 'ENOSPC' || action === 'EIO') {
    const text = action === 'ENOSPC' ? 'no space left on device' : 'i/o error';
    throw Object.assign(new Error(`${action}: ${text}, ${name}`), { code: action, path: place });
  }
  if (action === 'torn' && name === 'writeSync') {
    const bytes = args[1] as Uint8Array;
    real(args[0], bytes, 0, Math.floor(bytes.length / 2));
  } else if (action === 'torn' && name === 'writeFileSync') {
    const text = String(args[1]);
    real(args[0], text.slice(0, text.length / 2));
  } else real(...args);
  return die();
}

function count(line: string): number {
  original.writeSync(log, `${line.slice(0, lineLength - 1).padEnd(lineLength - 1)}\n`);
  return original.fstatSync(log).size / lineLength;
}

function remember(name: string, args: unknown[], result: unknown): unknown {
  if (name === 'openSync') descriptors.set(result as number, String(args[0]));
  return result;
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}
