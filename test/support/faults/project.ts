import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestIn, type Ended, type Options, offsite, startOffsite } from '../offsite/index.ts';
import type { Fault } from './break-writes.ts';

const breakWrites = fileURLToPath(new URL('break-writes.ts', import.meta.url));

/** A project's directory, with out/ for artifacts and work/ for resource.yaml. */
export class Project {
  readonly directory = mkdtempSync(join(tmpdir(), 'offsite-faults-'));
  readonly args: readonly string[];

  constructor(args?: (directory: string) => string[]) {
    this.args = [
      'run',
      '--work-dir',
      join(this.directory, 'work'),
      ...(args?.(this.directory) ?? ['-f', join(this.directory, 'resources.yaml')]),
    ];
  }

  run(options?: Options): Promise<Ended> {
    return offsite(this.args, options);
  }

  start(options?: Options) {
    return startOffsite(this.args, options);
  }

  /** The command with its calls to the file system counted, and one of them broken. */
  broken(fault: Omit<Fault, 'log'>): Options {
    const log = this.path('calls.log');
    rmSync(log, { force: true });
    return {
      preload: [breakWrites],
      environment: { OFFSITE_FAULT: JSON.stringify({ ...fault, log } satisfies Fault) },
    };
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** Digests of bundle, adapter and model, as far as they are there. */
  digests(): Record<string, string | undefined> {
    return Object.fromEntries(
      ['emulator', 'adapter', 'model'].map((name) => [name, digestIn(this.path('out', name))]),
    );
  }

  /** Removes what runs have left: all of it, or the named parts of out/. */
  forget(...parts: string[]): void {
    const paths = parts.length === 0 ? ['out', 'work'] : parts.map((part) => join('out', part));
    for (const path of paths) rmSync(this.path(path), { recursive: true, force: true });
  }

  /** What only a process that is still writing may have. */
  leftovers(): string[] {
    const places = ['out', 'work'].filter((place) => existsSync(this.path(place)));
    const names = places.flatMap((place) =>
      readdirSync(this.path(place), { recursive: true, encoding: 'utf8' }),
    );
    return names.filter((name) => /\.(partial|previous|tmp|shards|offsite-\w+)$/.test(name));
  }

  /** Where what is not a resource's artifact lies. */
  work(kind: string, name = 'tiny'): string {
    return this.path('work/work', kind.toLowerCase(), 'default', name);
  }

  /** Removes a resource's work too, so that it begins anew. */
  forgetWork(kind: string): void {
    rmSync(this.work(kind), { recursive: true, force: true });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** The calls that changed the file system in the last `broken` run, as `name path`. */
export function callsOf(project: Project): string[] {
  if (!existsSync(project.path('calls.log'))) return [];
  const lines = readFileSync(project.path('calls.log'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.trim().replace(`${project.directory}/`, ''));
}
