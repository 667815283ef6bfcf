import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A memory cgroup (version 1 or 2) for one process and its threads; the machine's root may make one. */
export class MemoryLimit {
  readonly directory: string;
  readonly #files: { limit: string; peak: string };

  /** A cgroup where this user may make one, undefined where not (it takes root, or a delegated version 2 hierarchy). */
  static make(name: string, bytes: number): MemoryLimit | undefined {
    try {
      return new MemoryLimit(name, bytes);
    } catch (error) {
      if (!['EACCES', 'EROFS', 'EPERM', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
      return undefined;
    }
  }

  /** @param bytes what the process may use, page cache included; it is killed where that does not suffice */
  private constructor(name: string, bytes: number) {
    const version1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes');
    this.directory = join(version1 ? '/sys/fs/cgroup/memory' : '/sys/fs/cgroup', `${name}-${process.pid}`);
    this.#files = version1
      ? { limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' }
      : { limit: 'memory.max', peak: 'memory.peak' };
    mkdirSync(this.directory);
    this.#write(this.#files.limit, String(bytes));
    // Without it, swap would take what the limit refuses.
    if (!version1) this.#write('memory.swap.max', '0');
  }

  /** Starts a program inside: what comes before the program's own arguments. */
  get through(): string[] {
    return ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', this.directory];
  }

  /** The most bytes that were used, page cache included. */
  get peak(): number {
    return Number(readFileSync(join(this.directory, this.#files.peak), 'utf8'));
  }

  remove(): void {
    rmdirSync(this.directory);
  }

  #write(file: string, value: string): void {
    writeFileSync(join(this.directory, file), value);
  }
}
