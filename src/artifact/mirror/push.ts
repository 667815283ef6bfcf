// Uploads to a store, in an order in which no reader takes half an artifact for a whole one.
import { createHash, randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { listingBounds } from '../../api/index.ts';
import { type InnerPath, innerPath, itself } from '../inner-path.ts';
import { filesIn } from '../manifest/digest.ts';
import { listedBy } from '../manifest/manifest.ts';
import { openPlainHandle } from '../plain-file.ts';
import {
  isStoreError,
  type StoredObject,
  StoreError,
  type WritableStore,
  type WriteCondition,
} from '../stores/store.ts';
import { eachAtOnce, hashOf, isCurrent } from './pull.ts';
import { type StoreCopy, writeNote } from './store-copy.ts';

/** What is known to lie at a place of a store: the version of each file by its path from there. */
export type Seen = Map<string, string>;

export interface PushOptions {
  signal: AbortSignal;
  /** What the store has and the copy has not is removed there. */
  exact: boolean;
  /** Of what the store has and the copy has not, only these may go; all of it when absent. */
  removable?: readonly string[] | undefined;
  /**
   * What lies there by all that is known, and what comes up is added: over anything else nothing goes, and then what came up
   * is taken back. Absent: whatever is there may be written over.
   */
  seen?: Seen | undefined;
  /**
   * Whether the manifest that was seen has the bytes of the copy's: it stays there, and so does each file that is the same by its
   * size and the sha256 kept beside it. Another one, or one of which that cannot be told, goes up over what was seen.
   */
  stands?: boolean | undefined;
  /** The mark of all that comes up, which no other push has; one of its own when absent. */
  writer?: string | undefined;
  /** Asked before every single change of the store; throws where nothing may be changed any more. */
  mayChange?: (() => Promise<void>) | undefined;
}

/** Written last: where they are, all the rest is. */
const seals = new Set(['manifest.json', 'state.json']);
const isSeal = (path: string) => seals.has(basename(path));

const atOnce = 2;
const mostRounds = 4;

/**
 * Makes the store hold what the copy holds. Seals go up last, after a look that all else is there, and come down first
 * when they are replaced: what was cut off in the middle is no artifact. What is sealed there and not here any more, such as
 * an earlier checkpoint, goes when the new is sealed.
 * @returns what came there meanwhile and is beside what was brought: an earlier one was gone by then, so the new was brought
 * @throws StoreError, `Changed` where something else lies there that was not seen; OffsiteError BadSpec, what `mayChange` throws
 */
export async function push(
  store: WritableStore,
  copy: StoreCopy,
  options: PushOptions,
): Promise<readonly string[]> {
  const { writer = randomUUID() } = options;
  try {
    return await pushOver(store, copy, options, writer);
  } catch (error) {
    if (options.seen !== undefined && isStoreError(error, 'Changed'))
      await takeBack(store, copy, options, writer);
    throw error;
  }
}

/**
 * Beside what somebody else lays there, no file of ours may lie: its readers would refuse it. Ours is what has our own mark, not
 * what has the bytes of ours; and what an artifact that came there lists is its own, whoever wrote it.
 */
async function takeBack(
  store: WritableStore,
  copy: StoreCopy,
  { signal, mayChange }: PushOptions,
  writer: string,
): Promise<void> {
  const isOurs = async (object: string) => (await store.written(object, signal))?.writer === writer;
  const stored = await store.list(copy.place, signal);
  const manifest = stored.find(({ path }) => path === 'manifest.json');
  const isTheirs = manifest !== undefined && !(await isOurs(copy.objectOf(manifest.path)));
  const theirs = new Set(isTheirs ? listedBy(await bytesOf(store, copy, manifest, signal)) : []);
  const own = new Set<string>(localFiles(copy));
  const names = stored.map(({ path }) => path).filter((path) => own.has(path) && !theirs.has(path));
  for (const path of [...names.filter(isSeal), ...names.filter((name) => !isSeal(name))]) {
    const object = copy.objectOf(path);
    await mayChange?.();
    // Asked right before it goes: a removal has no condition.
    if (await isOurs(object)) await store.remove([object], signal);
  }
}

/** No more than a manifest may have. */
async function bytesOf(
  store: WritableStore,
  copy: StoreCopy,
  { path, version }: StoredObject,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { body } = await store.read(copy.objectOf(path), { from: 0, version, signal });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > listingBounds.bytes) break;
  }
  return Buffer.concat(chunks);
}

/** @param writer the mark of all that comes up */
async function pushOver(
  store: WritableStore,
  copy: StoreCopy,
  { signal, exact, removable, seen, stands = false, mayChange = async () => {} }: PushOptions,
  writer: string,
): Promise<readonly string[]> {
  if (stands) await noteSame(store, copy, seen, signal);
  let replaces = false;
  for (let round = 1; ; round++) {
    const files = localFiles(copy);
    const own = new Set<string>(files);
    const stored = new Map((await store.list(copy.place, signal)).map((object) => [object.path, object]));
    const strange = [...stored.values()]
      .filter(({ path, version }) => seen !== undefined && seen.get(path) !== version)
      .map(({ path }) => path);
    // A note, say: where the earlier artifact is gone already, taking back the new one would leave none.
    const isBeside = (path: string) => replaces && !own.has(path) && !isSeal(path);
    const inTheWay = strange.find((path) => !isBeside(path));
    if (inTheWay !== undefined) throw cameThere(copy, inTheWay);
    const mayGo = (path: string) => (removable?.includes(path) ?? true) && !strange.includes(path);
    const changed = files.filter((path) => !isStored(copy, path, stored.get(path)));
    const surplus = exact ? [...stored.keys()].filter((path) => !own.has(path) && mayGo(path)) : [];
    // What no seal of the copy speaks for does no harm, and may be all that is whole there until the new is up.
    const sealsHere = files.filter(isSeal);
    const harmful = surplus.filter((path) => sealsHere.some((seal) => covers(seal, [path])));
    const ready = changed.every(isSeal) && harmful.length === 0;
    const outdated = stands
      ? []
      : [...stored.keys()].filter((path) => isSeal(path) && covers(path, [...changed, ...harmful]));
    const remove = async (paths: readonly string[]) => {
      if (paths.length === 0) return;
      await mayChange();
      await store.remove(
        paths.map((path) => copy.objectOf(path)),
        signal,
      );
    };
    if (!ready && round > mostRounds)
      throw new StoreError(
        'StoreUnavailable',
        `${copy.describe('')}: objects vanish there while they are stored`,
      );
    if (!ready) {
      replaces ||= outdated.length > 0;
      await remove(outdated);
    }
    await remove(harmful.filter((path) => !outdated.includes(path)));
    await eachAtOnce(
      changed.filter((path) => ready || !isSeal(path)),
      atOnce,
      async (path) => {
        await mayChange();
        // A seal takes the place of what was looked at alone: who has lost the place since then seals nothing there.
        const there = stored.get(path);
        const over = there === undefined ? 'absent' : { over: there.version };
        const condition = seen !== undefined || isSeal(path) ? over : 'anyway';
        const version = await upload(store, copy, path, { condition, writer, signal });
        if (version !== undefined) {
          seen?.set(path, version);
          return;
        }
        await mayChange();
        // A server may also refuse it for a write of this process whose answer it has not given: that passes.
        const [now] = await store.list(copy.objectOf(path), signal);
        if (seen !== undefined && now !== undefined && now.version !== seen.get(path))
          throw cameThere(copy, path);
        throw new StoreError(
          'StoreUnavailable',
          `${copy.describe(path)}: was written by another run just now; nothing was put over it`,
        );
      },
    );
    if (!ready) continue;
    await remove(surplus.filter(isSeal));
    await remove(surplus.filter((path) => !isSeal(path)));
    return strange;
  }
}

/** Takes down of which version each file of the copy is that was made apart from what was seen and is the same. */
async function noteSame(
  store: WritableStore,
  copy: StoreCopy,
  seen: Seen | undefined,
  signal: AbortSignal,
): Promise<void> {
  const stored = new Map((await store.list(copy.place, signal)).map((object) => [object.path, object]));
  await eachAtOnce(localFiles(copy), atOnce, async (path) => {
    const object = stored.get(path);
    if (object === undefined || object.version !== seen?.get(path)) return;
    const { version, sizeBytes } = object;
    const file = await openPlainHandle(copy.fileOf(path));
    try {
      const { size, mtimeMs } = await file.stat();
      if (size !== sizeBytes) return;
      if (path !== 'manifest.json') {
        const there = await store.written(copy.objectOf(path), signal);
        if (there?.sha256 === undefined || there.version !== version) return;
        const bytes = file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 });
        if ((await hashOf(bytes, createHash('sha256'))) !== there.sha256) return;
      }
      writeNote(copy.noteOf(path), { version, sizeBytes, mtimeMs });
    } finally {
      await file.close();
    }
  });
}

const cameThere = (copy: StoreCopy, path: string) =>
  new StoreError('Changed', `${copy.describe(path)}: came there meanwhile; nothing was put over it`);

/** Whether a seal speaks for one of these paths: those in its directory and below. */
function covers(seal: string, paths: readonly string[]): boolean {
  const directory = seal.slice(0, seal.length - basename(seal).length);
  return paths.some((path) => path.startsWith(directory));
}

/** @throws OffsiteError BadModel for a name that no store's reader would take */
function localFiles(copy: StoreCopy): InnerPath[] {
  const root = copy.fileOf(itself);
  const stat = statSync(root, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (stat.isFile()) return [itself];
  return filesIn(root)
    .filter((path) => !isUnfinished(path))
    .map((path) => innerPath(path, copy.describe('')));
}

/** What is being written right now, and will be renamed. */
const isUnfinished = (path: string) => /\.(partial|previous|tmp)(\/|$)/.test(path);

const isStored = (copy: StoreCopy, path: InnerPath, object: StoredObject | undefined): boolean =>
  object !== undefined && isCurrent(copy, { ...object, path });

/** @returns the version that it has there; undefined where the condition does not hold */
async function upload(
  store: WritableStore,
  copy: StoreCopy,
  path: InnerPath,
  { condition, writer, signal }: { condition: WriteCondition; writer: string; signal: AbortSignal },
): Promise<string | undefined> {
  const object = copy.objectOf(path);
  // Opened once: a newer file that is renamed over it meanwhile must not be stored with this one's sha256.
  const file = await openPlainHandle(copy.fileOf(path));
  const bodies: Readable[] = [];
  const read = () => file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 });
  try {
    const { size: sizeBytes, mtimeMs } = await file.stat();
    const sha256 = await hashOf(read(), createHash('sha256'));
    const write = (where: WriteCondition) => {
      const body = read();
      // To destroy one closes the file for all.
      bodies.push(body);
      return store.write(object, { body, sizeBytes, sha256, writer, condition: where }, signal);
    };
    const written = await write(condition);
    // The server knows no conditions: the lock has told that.
    const answer = written === 'unsupported' ? await write('anyway') : written;
    const version = answer ?? (await ownVersion(store, object, writer, signal));
    if (version === undefined || version === 'unsupported') return undefined;
    writeNote(copy.noteOf(path), { version, sizeBytes, mtimeMs });
    return version;
  } finally {
    for (const body of bodies) body.destroy();
    await file.close();
  }
}

/** A write whose answer was lost is found where it was sent again: what stands there has its mark. */
async function ownVersion(
  store: WritableStore,
  object: string,
  writer: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const there = await store.written(object, signal);
  return there?.writer === writer ? there.version : undefined;
}
