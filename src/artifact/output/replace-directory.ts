// Atomic output of whole directories: an earlier artifact is replaced, and nothing else is ever lost.
import { createHash, randomBytes } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { badSpec, OffsiteError } from '../../api/index.ts';
import { realPlace } from '../address/address.ts';
import { readKept } from '../bounded-file.ts';
import { isInside, refuseOutside } from '../confinement.ts';
import { lockDirectoryOf } from '../lock/on-disk.ts';
import { isGone, processMarkSchema, thisProcess } from '../lock/process-mark.ts';
import { filesIn } from '../manifest/digest.ts';
import { type Manifest, openArtifact, pathsOf, peekManifest } from '../manifest/manifest.ts';
import { WrittenFiles } from '../manifest/written-files.ts';
import { signatureName, signatureThere } from '../signature/signature.ts';
import { isThere, systemCodeOf } from '../unanswered.ts';
import { temporaryStartOf } from '../write-whole.ts';
import { refuseInside } from './surroundings.ts';

const outputField = 'spec.output.uri';

/**
 * Makes sure that an artifact may go to a place: nothing lies there, or an earlier artifact and no file beside those that
 * its manifest lists. Anything else would be lost.
 * @param field names the place in errors; @param place the name by which it is told, where it is aside
 * @throws OffsiteError BadSpec naming the file
 */
export function checkReplaceable(directory: string, field: string, place = directory): void {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) throw badSpec(`${field}: ${place} is a file; an artifact is a directory`);
  refuseOthers(filesIn(directory), listedIn(directory), { place, field });
}

/** The files of the artifact that lies in a directory, its manifest and signature with them; none where there is no artifact. */
export function listedIn(directory: string): string[] {
  const manifest = peekManifest(directory)?.manifest;
  return manifest === undefined ? [] : pathsOf(manifest);
}

/**
 * Nothing at an output may be lost that is not an artifact's.
 * @param files that lie there; @param listed those that may go
 * @throws OffsiteError BadSpec naming one of the others
 */
export function refuseOthers(
  files: readonly string[],
  listed: readonly string[],
  { place, field }: { place: string; field: string },
): void {
  const known = new Set(listed);
  const others = files.filter((path) => !known.has(path));
  if (others.length === 0) return;
  const named = `${JSON.stringify(others[0])}${others.length > 1 ? ` and ${others.length - 1} more` : ''}`;
  throw badSpec(
    listed.length === 0
      ? `${field}: ${place} holds ${named} and is no artifact; it would be replaced: choose another place`
      : `${field}: ${place} holds ${named} beside the artifact's own files, which would be lost with it: move that away, or choose another place`,
  );
}

/** Which artifacts at an output may be replaced: all, none, or the one of this digest, which was there before. */
export type Replaceable = boolean | string;

/** What lies at an output and may not be replaced. */
export function keptAt(output: string, mayReplace: Replaceable): OtherArtifact | undefined {
  const there = mayReplace === true ? undefined : peekManifest(output);
  return there?.digest === mayReplace ? undefined : there;
}

type OtherArtifact = ReturnType<typeof peekManifest>;

/**
 * Asked before anything is computed for an artifact that does not lie there yet.
 * @throws OffsiteError BadSpec where another one lies there, of whose making nothing is known
 */
export function refuseUnknown(output: string, mayReplace: Replaceable): void {
  const there = keptAt(output, mayReplace);
  if (there === undefined) return;
  throw badSpec(
    `${outputField}: ${output} holds an artifact of kind ${there.manifest.kind} (${there.digest}) that is not what this resource makes, and nothing says that this resource made it: choose another place, or write spec.output.replace: true to replace it`,
  );
}

/** Writes into `files`, and seals `temporary`. */
type Fill = (temporary: string, files: WrittenFiles) => void | Promise<void>;

export interface Replacing {
  /** Called before anything takes its place; throws where it may not any more. */
  ready?: () => Promise<void>;
  /** Looks at what lay there, when nobody finds it there any more; throws where it may not go: it comes back. */
  mayGo?: (previous: string) => void;
}

/**
 * Makes a directory whole or not at all: `fill` writes beside it, under a name that nobody else has, which is renamed when
 * it is done. An artifact that lay there before is replaced; what a killed process has left beside it is cleared first.
 * @throws OffsiteError BadSpec where something else lies there
 */
export async function writeArtifact(
  path: string,
  fill: Fill,
  { ready = async () => {}, mayGo = () => {} }: Replacing = {},
): Promise<void> {
  refuseOutside(path);
  const directory = realPlace(path, outputField);
  checkReplaceable(directory, outputField);
  clearBeside(directory, { surely: true });
  const container = Container.make(directory);
  try {
    await fill(container.partial, new WrittenFiles(container.partial));
    await ready();
    refuseOutside(path);
    // What `layLeft` would lay, also another machine's: the place is taken now, and was just found to be ours.
    clearBeside(directory);
    checkReplaceable(directory, outputField);
    container.exchange(mayGo);
  } finally {
    container.remove();
  }
}

/** @throws OffsiteError BadSpec where something is at a place, or an artifact around it */
export function refuseThere(path: string, field: string): void {
  if (isThere(path)) throw badSpec(`${field} ${path}: is there already; name a place where nothing is`);
  refuseInside(realPlace(path, field), field);
}

/**
 * The same where nothing is, for who has no lock of the place.
 * @param field names the place in errors
 * @throws OffsiteError BadSpec where something is there, also where it came meanwhile
 */
export async function writeNewDirectory(path: string, field: string, fill: Fill): Promise<void> {
  refuseThere(path, field);
  const directory = realPlace(path, field);
  clearBeside(directory, { surely: true });
  const container = Container.make(directory, { field, isLocked: false });
  try {
    await fill(container.partial, new WrittenFiles(container.partial));
    refuseInside(directory, field);
    container.place();
  } finally {
    container.remove();
  }
}

/**
 * The same for a directory that several processes may make at the same time, all with the same bytes: the first to end names
 * it, and the others' work is dropped.
 */
export async function writeSharedArtifact(
  directory: string,
  fill: (temporary: string) => void | Promise<void>,
): Promise<void> {
  try {
    const container = Container.make(directory);
    try {
      await fill(container.partial);
      renameSync(container.partial, directory);
    } finally {
      container.remove();
    }
  } catch (error) {
    // Another process was first, and may have cleared this one's work away.
    if (!isThere(join(directory, 'manifest.json'))) throw error;
  }
  clearBeside(directory);
}

/**
 * Clears what processes that were killed have left beside a directory, by our mark; the artifact that one of them had moved
 * aside for its own comes back.
 * @param surely of processes on other machines nothing is known: what they have there stays, where no lock says that they are
 * gone; what was begun without a lock stays in any case
 * @param keep digests of artifacts of which one that was made whole stays, for `layLeft`
 */
export function clearBeside(
  directory: string,
  { surely = false, keep = [] }: { surely?: boolean; keep?: readonly string[] } = {},
): void {
  for (const { container, entries } of leftBeside(directory, surely)) {
    const previous = join(container, 'previous');
    if (isDirectory(previous) && (!isThere(directory) || isAside(container))) putBack(previous, directory);
    if (keep.length > 0 && keep.includes(wholeIn(container)?.digest ?? '')) continue;
    // Killed before it was marked, it holds nothing.
    if (entries.includes(mark) || entries.length === 0) removeContainer(container);
  }
}

/**
 * Lays the artifact of a digest that a killed process had made whole beside its place. Where it may not go there it stays.
 * @returns its manifest, by which it was whole; others may have put something else there by then. Undefined where it was not there
 * @throws OffsiteError BadSpec where something else lies at the place; what `ready` and `mayGo` throw
 */
export async function layLeft(
  path: string,
  digest: string,
  { ready, mayGo }: Required<Replacing>,
): Promise<Manifest | undefined> {
  refuseOutside(path);
  const directory = realPlace(path, outputField);
  // What something came in the way of, so that an earlier artifact is aside there still, is looked at by its owner.
  const found = leftBeside(directory, false)
    .filter(({ entries }) => !entries.includes('previous'))
    .map(({ container }) => ({ container, whole: wholeIn(container) }))
    .find(({ whole }) => whole?.digest === digest);
  if (found?.whole === undefined) return undefined;
  await ready();
  refuseOutside(path);
  checkReplaceable(directory, outputField);
  const container = new Container(directory, found.container);
  container.exchange(mayGo);
  container.remove();
  return found.whole.manifest;
}

/** The artifact that was made in a container, where all of it is there. */
function wholeIn(container: string): { manifest: Manifest; digest: string } | undefined {
  try {
    return openArtifact(join(container, 'partial'));
  } catch (error) {
    if (error instanceof OffsiteError) return undefined;
    throw error;
  }
}

/** What processes that are gone have left beside a directory. */
function leftBeside(directory: string, surely: boolean): { container: string; entries: string[] }[] {
  const parent = dirname(directory);
  if (!isThere(parent) || !isInside(directory)) return [];
  const start = prefixOf(directory);
  return readdirSync(parent).flatMap((name) => {
    if (!name.startsWith(start) || !/^[0-9a-f]{16}$/.test(name.slice(start.length))) return [];
    const container = join(parent, name);
    // What others put there in our name is left alone: through a link, another one's files would go or come.
    if (!isDirectory(container)) return [];
    const entries = entriesOf(container);
    if (entries === undefined || entries.some((entry) => !isOurs(container, entry))) return [];
    const { isLocked, gone } = makerOf(container);
    return gone === false || ((surely || !isLocked) && gone !== true) ? [] : [{ container, entries }];
  });
}

/** Whether a path is, or lies in, what is kept for the making of the artifact at `directory`. */
export function liesBeside(directory: string, path: string): boolean {
  const result = `${directory}.result.json`;
  const starts = [prefixOf(directory), temporaryStartOf(result)].map((start) =>
    join(dirname(directory), start),
  );
  return (
    [result, lockDirectoryOf(directory)].includes(path) || starts.some((start) => path.startsWith(start))
  );
}

/** All that lies there beside `directory` and is kept for its making. */
export function besideOf(directory: string): string[] {
  const parent = dirname(directory);
  return (entriesOf(parent) ?? [])
    .map((name) => join(parent, name))
    .filter((path) => liesBeside(directory, path));
}

const mark = 'offsite-tuning.json';

/** A container holds its mark and directories: a link in it would have another one's files cleared, or written over. */
const isOurs = (container: string, entry: string): boolean => {
  const stat = lstatSync(join(container, entry), { throwIfNoEntry: false });
  return entry === mark
    ? stat?.isFile() === true
    : ['partial', 'previous', 'replaced'].includes(entry) && stat?.isDirectory() === true;
};

/** A directory beside another, for as long as that one is made: no other process has its name. */
class Container {
  readonly partial: string;
  readonly #directory: string;
  readonly #path: string;
  readonly #field: string;

  /** One that is there already, by its path. */
  constructor(directory: string, path: string, field = outputField) {
    this.#directory = directory;
    this.#field = field;
    this.#path = path;
    this.partial = join(path, 'partial');
  }

  /** @param isLocked whether who makes it holds the lock of the place, so that the next holder knows that it is gone */
  static make(directory: string, { field = outputField, isLocked = true } = {}): Container {
    const path = join(dirname(directory), `${prefixOf(directory)}${randomBytes(8).toString('hex')}`);
    const container = new Container(directory, path, field);
    refuseOutside(directory);
    mkdirSync(dirname(directory), { recursive: true });
    mkdirSync(path);
    try {
      writeFileSync(
        join(path, mark),
        JSON.stringify({ for: basename(directory), process: thisProcess(), isLocked }),
        {
          flag: 'wx',
        },
      );
      mkdirSync(container.partial);
    } catch (error) {
      container.remove();
      throw error;
    }
    return container;
  }

  /**
   * Puts what was made in the directory's place. What was there before is looked at when it is aside, where it stays what it
   * is; where that fails, it comes back.
   * @throws OffsiteError BadSpec where something came there meanwhile; what `mayGo` throws
   */
  exchange(mayGo: (previous: string) => void): void {
    refuseOutside(this.#directory);
    const previous = join(this.#path, 'previous');
    if (isThere(this.#directory)) renameSync(this.#directory, previous);
    try {
      checkReplaceable(previous, this.#field, this.#directory);
      mayGo(previous);
      keepSignature(previous, this.partial);
      this.place();
    } catch (error) {
      if (!isThere(previous) || putBack(previous, this.#directory)) throw error;
      throw badSpec(
        `${this.#field}: something came to ${this.#directory} while what lay there was aside; that lies in ${previous} now: move one of the two away`,
      );
    }
  }

  /** Gives what was made the directory's name. @throws OffsiteError BadSpec where anything but an empty directory has it */
  place(): void {
    try {
      renameSync(this.partial, this.#directory);
    } catch (error) {
      if (!isThere(this.#directory)) throw error;
      throw badSpec(
        `${this.#field}: something came to ${this.#directory} while an artifact was made for that place; it stays as it is: move it away, or choose another place`,
      );
    }
  }

  remove(): void {
    removeContainer(this.#path);
  }
}

/** A signature of the very same artifact is one of what takes its place, whoever signed it. */
function keepSignature(previous: string, partial: string): void {
  const [before, made] = [peekManifest(previous), peekManifest(partial)];
  if (made === undefined || before?.digest !== made.digest || isThere(join(partial, signatureName))) return;
  const signature = signatureThere(previous, { digest: made.digest, kind: made.manifest.kind });
  if (signature !== undefined)
    writeFileSync(join(partial, signatureName), signature, { flag: 'wx', flush: true });
}

/**
 * The mark goes last: what is cut off in the middle is found again. What lay at the directory goes only when something has taken
 * its place.
 */
function removeContainer(path: string): void {
  if (!isInside(path)) return;
  if (isAside(path)) {
    // No process's any more: who looks next brings back what it can.
    rmSync(join(path, mark), { force: true });
    writeFileSync(join(path, mark), JSON.stringify({ isAside: true }), { flag: 'wx' });
    // Itself, and not what lies in it: a link that came in its place goes, and nothing that it leads to.
    rmSync(join(path, 'partial'), { recursive: true, force: true });
    mkdirSync(join(path, 'partial'));
    return;
  }
  try {
    const previous = join(path, 'previous');
    // It has been replaced: also where it cannot go yet, it comes back no more.
    if (lstatSync(previous, { throwIfNoEntry: false }) !== undefined)
      renameSync(previous, join(path, 'replaced'));
    for (const name of ['partial', 'replaced', mark])
      rmSync(join(path, name), { recursive: true, force: true });
    rmdirSync(path);
  } catch (error) {
    // It is gone, or holds what somebody put there, or what an NFS client keeps while a process has it open: that stays, for who looks next.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY'].includes(systemCodeOf(error) ?? '')) throw error;
  }
}

/** Whether a container holds what lay at the directory, and what was to take its place has not. */
const isAside = (container: string): boolean =>
  lstatSync(join(container, 'previous'), { throwIfNoEntry: false }) !== undefined &&
  (isDirectory(join(container, 'partial')) || markOf(container)?.isAside === true);

/** @returns whether it is back: nothing but an empty directory gives way */
function putBack(previous: string, directory: string): boolean {
  try {
    if (isDirectory(directory)) rmdirSync(directory);
    renameSync(previous, directory);
    return true;
  } catch {
    return false;
  }
}

const markSchema = z.object({
  process: processMarkSchema.optional(),
  isLocked: z.boolean().optional(),
  /** Whether what lay at the directory is kept here, whatever becomes of what was to take its place. */
  isAside: z.boolean().optional(),
});

const markOf = (container: string) => readKept(markSchema, join(container, mark));

/** Whether the process that made a container is gone; undefined where it is another machine's. Of what bears no process's mark it is. */
function makerOf(container: string): { isLocked: boolean; gone: boolean | undefined } {
  const { process, isLocked = true } = markOf(container) ?? {};
  return { isLocked, gone: process === undefined ? true : isGone(process) };
}

/** A name has at most 255 bytes. */
function prefixOf(directory: string): string {
  const name = basename(directory);
  const short =
    Buffer.byteLength(name) <= 200 ? name : createHash('sha256').update(name).digest('hex').slice(0, 32);
  return `.${short}.offsite-`;
}

/** A link to one is none. */
const isDirectory = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

function entriesOf(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}
