// Results that are kept from run to run: a file of JSON, read anew each time and replaced as a whole.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Knows a run again by what it is made of. */
export const digest = (content: unknown): string =>
  createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16);

export function keptIn<T extends { readonly key: string }>(file: URL) {
  const path = fileURLToPath(file);
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
