// A disk that does not answer, in this process: what is asked of one file fails with the system's code, also where modules share it.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const calls = ['openSync', 'statSync', 'lstatSync'] as const;

/** Runs something while calls for files of a name fail so. */
export function unanswered<T>(name: string, code: string, work: () => T): T {
  const real = Object.fromEntries(calls.map((call) => [call, fs[call]]));
  const failing = (call: string) =>
    function failing(path: unknown, ...rest: unknown[]) {
      if (String(path).endsWith(name))
        throw Object.assign(new Error(`${code}: no answer, ${call} '${path}'`), {
          code,
          path,
          syscall: call,
        });
      return (real[call] as (...all: unknown[]) => unknown)(path, ...rest);
    };
  Object.assign(fs, Object.fromEntries(calls.map((call) => [call, failing(call)])));
  syncBuiltinESMExports();
  try {
    return work();
  } finally {
    Object.assign(fs, real);
    syncBuiltinESMExports();
  }
}
