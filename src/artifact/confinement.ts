/** What a pod opens on a claim lies on that claim, whatever links are put there between a look and the opening. */
import { lstatSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { badSpec } from '../api/index.ts';

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
  return root === undefined || isWithin(placeOf(descriptor), root.real);
}

/** Where an open file really lies. @throws Error of the system where it has no /proc */
export const placeOf = (descriptor: number): string => readlinkSync(`/proc/self/fd/${descriptor}`);

/** The names in a directory, where what they name may be cleared; none where a link leads out of one of these directories. */
export function namesToClear(directory: string): string[] {
  const root = rootOf(directory);
  return root === undefined || isWithin(realpathSync(directory), root.real) ? readdirSync(directory) : [];
}

/** Whether a path, if it is below one of these directories, lies there, whatever links came to the way to it; it may be one itself. */
export function isInside(path: string): boolean {
  const root = rootOf(path);
  if (root === undefined || path === root.named || path === root.real) return true;
  const real = realOf(dirname(path));
  return real !== undefined && isWithin(real, root.real);
}

/** Asked right before something is written. @throws OffsiteError BadSpec where a link leads out of one of these directories */
export function refuseOutside(path: string): void {
  if (!isInside(path))
    throw badSpec(
      `${path}: a symbolic link that came there leads out of its claim: look who else writes there, and remove it`,
    );
}

/** Removes what is at a path of ours, and nothing through a link that leads out of one of these directories. */
export function clearAt(path: string): void {
  if (isInside(path)) rmSync(path, { recursive: true, force: true });
}

/** Of what is not there yet, where its nearest directory is; undefined where a link leads nowhere. */
function realOf(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return realOf(dirname(path));
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

const rootOf = (path: string) =>
  roots.find(({ named, real }) => isWithin(path, named) || isWithin(path, real));

/** Whether a path is a directory, or lies in it. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(join(directory, '/'));
