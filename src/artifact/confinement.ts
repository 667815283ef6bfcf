/** What a pod opens on a claim lies on that claim, whatever links are put there between a look and the opening. */
import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A directory by the name under which it is asked for, and as the system has it. */
interface Root {
  readonly named: string;
  readonly real: string;
}

let roots: readonly Root[] = [];

/** Sets the directories that no file opened below them may lie out of, for this thread. */
export function confineTo(directories: readonly string[]): void {
  roots = directories.map((named) => ({ named, real: realpathSync(named) }));
}

/** Whether an open file lies where its path says, if that is below one of these directories. */
export function isConfined(path: string, descriptor: number): boolean {
  const root = rootOf(path);
  return root === undefined || isWithin(readlinkSync(`/proc/self/fd/${descriptor}`), root.real);
}

/** The names in a directory, where what they name may be cleared; none where a link leads out of one of these directories. */
export function namesToClear(directory: string): string[] {
  const root = rootOf(directory);
  return root === undefined || isWithin(realpathSync(directory), root.real) ? readdirSync(directory) : [];
}

const rootOf = (path: string) =>
  roots.find(({ named, real }) => isWithin(path, named) || isWithin(path, real));

/** Whether a path is a directory, or lies in it. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(join(directory, '/'));
