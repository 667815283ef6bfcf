import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { filesIn } from './digest.ts';
import { eachAtOnce, isCurrent, sha256Of } from './pull.ts';
import { type StoredObject, StoreError, type WritableStore } from './store.ts';
import { type StoreCopy, writeNote } from './store-copy.ts';

export interface PushOptions {
  signal: AbortSignal;
  /** What the store has and the copy has not is removed there. */
  exact: boolean;
}

/** Written last: where they are, all the rest is. */
const seals = new Set(['manifest.json', 'state.json']);
const isSeal = (path: string) => seals.has(basename(path));

const atOnce = 2;
const mostRounds = 4;

/**
 * Makes the store hold what the copy holds. Seals go up last, after a look that all else is there, and come down first
 * when they are replaced: what was cut off in the middle is no artifact.
 * @throws StoreError, OffsiteError BadSpec
 */
export async function push(
  store: WritableStore,
  copy: StoreCopy,
  { signal, exact }: PushOptions,
): Promise<void> {
  for (let round = 1; ; round++) {
    const files = localFiles(copy);
    const stored = new Map((await store.list(copy.place, signal)).map((object) => [object.path, object]));
    const changed = files.filter((path) => !isStored(copy, stored.get(path)));
    const surplus = exact ? [...stored.keys()].filter((path) => !files.includes(path)) : [];
    const ready = changed.every(isSeal) && surplus.length === 0;
    const outdated = [...stored.keys()].filter(
      (path) => isSeal(path) && covers(path, [...changed, ...surplus]),
    );
    const objectsOf = (paths: readonly string[]) => paths.map((path) => copy.objectOf(path));
    if (!ready && round > mostRounds)
      throw new StoreError(
        'StoreUnavailable',
        `${copy.describe('')}: objects vanish there while they are stored`,
      );
    if (!ready) await store.remove(objectsOf(outdated), signal);
    await store.remove(objectsOf(surplus.filter((path) => !outdated.includes(path))), signal);
    await eachAtOnce(
      changed.filter((path) => ready || !isSeal(path)),
      atOnce,
      (path) => upload(store, copy, path, signal),
    );
    if (ready) return;
  }
}

/** Whether a seal speaks for one of these paths: those in its directory and below. */
function covers(seal: string, paths: readonly string[]): boolean {
  const directory = seal.slice(0, seal.length - basename(seal).length);
  return paths.some((path) => path.startsWith(directory));
}

function localFiles(copy: StoreCopy): string[] {
  const stat = statSync(copy.fileOf(''), { throwIfNoEntry: false });
  if (stat === undefined) return [];
  return stat.isFile() ? [''] : filesIn(copy.fileOf('')).filter((path) => !isUnfinished(path));
}

/** What is being written right now, and will be renamed. */
const isUnfinished = (path: string) => /\.(partial|previous|tmp)(\/|$)/.test(path);

const isStored = (copy: StoreCopy, object: StoredObject | undefined): boolean =>
  object !== undefined && isCurrent(copy, object);

async function upload(
  store: WritableStore,
  copy: StoreCopy,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const file = copy.fileOf(path);
  const { size: sizeBytes, mtimeMs } = statSync(file);
  const sha256 = await sha256Of(file);
  const version = await store.write(copy.objectOf(path), { file, sizeBytes, sha256 }, signal);
  writeNote(copy.noteOf(path), { version, sizeBytes, mtimeMs });
}
