// The study's kept results: every run that was made, also the bad ones.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Finding } from './experiment.ts';

/** Results in a file beside this one. */
export function keptIn<T extends { readonly key: string }>(name: string) {
  const path = fileURLToPath(new URL(name, import.meta.url));
  const read = (): T[] => (existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T[]) : []);
  return {
    read,
    /** Adds a result; one of the same run takes its place. */
    keep(result: T): void {
      const others = read().filter(({ key }) => key !== result.key);
      writeFileSync(`${path}.part`, `${JSON.stringify([...others, result], null, 1)}\n`);
      renameSync(`${path}.part`, path);
    },
  };
}

export const findings = keptIn<Finding>('findings.json');
