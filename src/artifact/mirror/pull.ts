// Downloads from a store: resumable, verified by checksum, never longer than announced.
import { createHash, type Hash } from 'node:crypto';
import { createWriteStream, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { badModel } from '../../api/index.ts';
import { type InnerPath, innerPaths, itself } from '../inner-path.ts';
import { filesIn } from '../manifest/digest.ts';
import { openPlainHandle } from '../plain-file.ts';
import {
  type Checksum,
  isStoreError,
  type Store,
  type StoredObject,
  StoreError,
  untold,
} from '../stores/store.ts';
import { isThere } from '../unanswered.ts';
import { readNote, type StoreCopy, writeNote } from './store-copy.ts';

/** Told of the bytes that are here, of how many. */
export type TransferProgress = (done: number, total: number) => void;

export interface PullOptions {
  signal: AbortSignal;
  /** Files that the store does not have are cleared away. */
  exact: boolean;
  /** Nothing counts as being there without manifest.json. */
  sealed?: boolean;
  progress?: TransferProgress | undefined;
  /** How many bytes are taken at most; any number when absent. */
  most?: number | undefined;
  patience?: Patience;
}

/** In milliseconds. */
interface Patience {
  /** How long a server may take for `leastBytes` more. */
  stall: number;
  /** The pause after a failure, which doubles with each in a row. */
  retry: number;
}

/** An object whose path has been checked, and its size too. */
export interface CheckedObject extends StoredObject {
  path: InnerPath;
}

const atOnce = 4;
const mostFailures = 6;
const mostChanges = 3;
/** What a connection must bring to count as one that works, and bring again and again. */
const leastBytes = 16 * 1024;
const defaultPatience: Patience = { stall: 60_000, retry: 200 };

/**
 * Makes the copy what the store holds at its place. A file that is here in the store's version is not fetched again, one
 * that was cut off goes on where it was, and every file's size and checksum are checked.
 * @returns false where the store has nothing there
 * @throws StoreError; OffsiteError BadModel for names that cannot be files of the copy; BadSpec
 */
export async function pull(store: Store, copy: StoreCopy, options: PullOptions): Promise<boolean> {
  const { signal, exact, sealed = false, progress = () => {}, patience = defaultPatience } = options;
  const { most = Number.POSITIVE_INFINITY } = options;
  for (let changes = 0; ; changes++) {
    const stored = checkObjects(await store.list(copy.place, signal), copy.describe(''));
    const objects = !sealed || stored.some(({ path }) => path === 'manifest.json') ? stored : [];
    for (const { path } of [{ path: itself }, ...objects]) copy.checkLinks(path);
    if (exact) clear(copy, objects);
    const total = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (total > most)
      throw badModel(`${copy.describe('')}: has ${total} bytes; at most ${most} are taken of such a file`);
    let done = 0;
    const count = (bytes: number) => {
      done += bytes;
      progress(done, total);
    };
    try {
      await eachAtOnce(objects, atOnce, (object) =>
        pullObject(store, copy, object, { signal, patience, count }),
      );
      return objects.length > 0;
    } catch (error) {
      // Somebody wrote there meanwhile: look again.
      const moved = isStoreError(error, 'Changed') || isStoreError(error, 'Missing');
      if (!moved || changes === mostChanges) throw error;
      await sleep(200, undefined, { signal });
    }
  }
}

/** What a store says that it has, before any of it is believed. @throws OffsiteError BadModel, StoreError */
function checkObjects(stored: readonly StoredObject[], where: string): CheckedObject[] {
  const wrong = stored.find(({ sizeBytes }) => !Number.isSafeInteger(sizeBytes) || sizeBytes < 0);
  if (wrong !== undefined)
    throw new StoreError('StoreUnavailable', `${where}: its server does not say how long ${wrong.path} is`);
  const single = stored.length === 1 && stored[0]?.path === '';
  if (!single)
    innerPaths(
      stored.map(({ path }) => path),
      where,
    );
  return stored as CheckedObject[];
}

interface Transfer {
  signal: AbortSignal;
  patience: Patience;
  count: (bytes: number) => void;
}

async function pullObject(
  store: Store,
  copy: StoreCopy,
  object: CheckedObject,
  transfer: Transfer,
): Promise<void> {
  const { path, sizeBytes, version } = object;
  const { signal, patience, count } = transfer;
  const file = copy.fileOf(path);
  const isTold = version !== untold;
  if (isTold && isCurrent(copy, object)) {
    count(sizeBytes);
    return;
  }
  const part = `${copy.noteOf(path)}.part`;
  mkdirSync(dirname(part), { recursive: true });
  if (!isTold || readNote(part)?.version !== version) rmSync(part, { force: true });
  writeNote(part, { version, sizeBytes });

  let checksum: Checksum | undefined;
  let isFetched = false;
  let counted = 0;
  for (let failures = 0; ; ) {
    const from = isThere(part) ? statSync(part).size : 0;
    count(from - counted);
    counted = from;
    // An empty object has no bytes to ask for, but a checksum.
    if (from === sizeBytes && (sizeBytes > 0 || isThere(part))) break;
    try {
      ({ checksum } = await fetchPart(store, copy, object, part, from, {
        ...transfer,
        count(bytes) {
          count(bytes);
          counted += bytes;
        },
      }));
      isFetched = true;
    } catch (error) {
      // Its beginning is of another version, or cannot be gone on from.
      if (isStoreError(error, 'Changed')) rmSync(part, { force: true });
      if (signal.aborted || !mayPass(error)) throw error;
      // Some bytes came: the connection works, only not for long.
      const came = isThere(part) ? statSync(part).size - from : 0;
      failures = came >= leastBytes ? 1 : failures + 1;
      if (failures > mostFailures) throw asStoreError(error, copy.describe(path));
      await sleep(Math.min(patience.retry * 2 ** failures, 10_000), undefined, { signal });
    }
  }
  if (!isFetched) checksum = await checksumOf(store, copy, object, signal);
  if (checksum !== undefined && !(await fits(part, checksum))) {
    rmSync(part);
    const which = 'sha256' in checksum ? 'sha256' : 'git blob id';
    throw new StoreError(
      'StoreUnavailable',
      `${copy.describe(path)}: came with another ${which} than it was stored with`,
    );
  }
  mkdirSync(dirname(file), { recursive: true });
  renameSync(part, file);
  writeNote(copy.noteOf(path), { version, sizeBytes, mtimeMs: statSync(file).mtimeMs });
}

/**
 * Adds an object's bytes from `from` on to a file: as many as it is to have, and not one more.
 * @throws StoreError also where the server sends more or fewer, or next to nothing for long
 */
async function fetchPart(
  store: Store,
  copy: StoreCopy,
  { path, sizeBytes, version }: CheckedObject,
  part: string,
  from: number,
  { signal, patience, count }: Transfer,
): Promise<{ checksum: Checksum | undefined }> {
  const where = copy.describe(path);
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(), patience.stall);
  const either = AbortSignal.any([signal, stall.signal]);
  let came = from;
  let atLastLook = from;
  try {
    const { body, checksum } = await store.read(copy.objectOf(path), { from, version, signal: either });
    await pipeline(
      body,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          came += chunk.length;
          if (came > sizeBytes)
            throw new StoreError(
              'Changed',
              `${where}: its server sends more than the ${sizeBytes} bytes that it said`,
            );
          count(chunk.length);
          if (came - atLastLook >= leastBytes) {
            atLastLook = came;
            timer.refresh();
          }
          yield chunk;
        }
      },
      createWriteStream(part, { flags: 'a' }),
      { signal: either },
    );
    if (came < sizeBytes)
      throw new StoreError(
        'StoreUnavailable',
        `${where}: its server sends ${came} of the ${sizeBytes} bytes that it said`,
      );
    return { checksum };
  } catch (error) {
    if (stall.signal.aborted && !signal.aborted)
      throw new StoreError(
        'StoreUnavailable',
        `${where}: its server sent less than ${leastBytes} bytes in ${patience.stall / 1000} s`,
      );
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The checksum of an object whose bytes were all here from an earlier try. */
async function checksumOf(
  store: Store,
  copy: StoreCopy,
  { path, sizeBytes, version }: CheckedObject,
  signal: AbortSignal,
): Promise<Checksum | undefined> {
  if (sizeBytes === 0) return undefined;
  const { body, checksum } = await store.read(copy.objectOf(path), { from: sizeBytes - 1, version, signal });
  body.destroy();
  return checksum;
}

/** Whether the file is here, in the version that the store has, and nobody wrote to it since. */
export function isCurrent(copy: StoreCopy, { path, sizeBytes, version }: CheckedObject): boolean {
  const stat = statSync(copy.fileOf(path), { throwIfNoEntry: false });
  const note = readNote(copy.noteOf(path));
  return (
    stat?.isFile() === true &&
    stat.size === sizeBytes &&
    note?.version === version &&
    note.mtimeMs === stat.mtimeMs
  );
}

async function fits(path: string, checksum: Checksum): Promise<boolean> {
  const file = await openPlainHandle(path);
  try {
    const bytes = file.createReadStream({ highWaterMark: 1 << 20 });
    if ('sha256' in checksum) return (await hashOf(bytes, createHash('sha256'))) === checksum.sha256;
    const blob = createHash('sha1').update(`blob ${(await file.stat()).size}\0`);
    return (await hashOf(bytes, blob)) === checksum.gitBlob;
  } finally {
    await file.close();
  }
}

/** The hash of all that is read, in hexadecimal, without holding up other work. */
export async function hashOf(bytes: Readable, hash: Hash): Promise<string> {
  for await (const chunk of bytes) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Takes away what the store does not have; also a file where it has a directory, and the other way round. */
function clear(copy: StoreCopy, objects: readonly CheckedObject[]): void {
  const root = copy.fileOf(itself);
  const stat = statSync(root, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const isFile = objects[0]?.path === itself;
  if (objects.length === 0 || stat.isFile() !== isFile) {
    rmSync(root, { recursive: true, force: true });
    return;
  }
  if (isFile) return;
  const wanted = new Set<string>(objects.map(({ path }) => path));
  for (const path of filesIn(root)) if (!wanted.has(path)) rmSync(join(root, path));
}

/** Dropped connections and servers out of order; not what is wrong for good or was moved. */
const mayPass = (error: unknown): boolean =>
  isStoreError(error, 'StoreUnavailable') ||
  (error instanceof Error && !('reason' in error) && !isOfDisk(error));

const isOfDisk = (error: Error): boolean =>
  ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'].includes(String((error as NodeJS.ErrnoException).code));

function asStoreError(error: unknown, where: string): unknown {
  if (error instanceof StoreError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? 'UNKNOWN';
  return new StoreError('StoreUnavailable', `${where}: the connection broke again and again (${code})`);
}

/** Runs `work` on every item, at most `most` at once; the first failure is thrown when all that runs has ended. */
export async function eachAtOnce<T>(
  items: readonly T[],
  most: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    for (const item of waiting) {
      if (failure !== undefined) return;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
  if (failure !== undefined) throw failure.error;
}
