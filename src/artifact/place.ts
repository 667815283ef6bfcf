import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { badSpec } from '../api/index.ts';
import { parseStoreUri, pathOfCopy } from './copies.ts';

/** Where URIs lie on this machine. */
export interface Mounts {
  /** The directory of each claim, for pvc://CLAIM/... */
  claims: Readonly<Record<string, string>>;
  /** The directory against which a relative file: URI is read. */
  base: string;
  /** Where what lies in a store (s3://) is kept while it is worked on. */
  scratch?: string | undefined;
}

/**
 * The path on this machine of a URI: in place for file: and pvc:, the copy's for a store.
 * @param field names the URI in errors
 * @param secret the Secret that opens the store
 * @throws OffsiteError BadSpec when the claim is not mounted, or the URI names no place of a store that there is
 */
export function resolveUri(uri: string, mounts: Mounts, field: string, secret?: string): string {
  const { claims, base, scratch } = mounts;
  const [, scheme = '', rest = ''] = /^([a-z0-9]+):(.*)$/.exec(uri) ?? [];
  switch (scheme) {
    case 'file':
      return rest.startsWith('//') ? pathOfUrl(uri, field) : resolve(base, rest);
    case 'pvc': {
      const [, claim = '', path = ''] = /^\/\/([^/]+)\/(.*)$/.exec(rest) ?? [];
      const directory = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
      if (directory === undefined) {
        throw badSpec(`${field}: claim ${claim} is not mounted; with offsite run, add --mount ${claim}=DIR`);
      }
      const place = resolve(directory, path);
      if (place !== resolve(directory) && !place.startsWith(join(resolve(directory), '/'))) {
        throw badSpec(`${field}: leaves its claim ${claim}`);
      }
      return place;
    }
    default: {
      if (scratch === undefined)
        throw badSpec(`${field}: ${scheme}:// cannot be read here; file: and pvc:// can`);
      return pathOfCopy(scratch, parseStoreUri(uri, field), secret);
    }
  }
}

function pathOfUrl(url: string, field: string): string {
  try {
    const path = fileURLToPath(url);
    if (!path.includes('\0')) return path;
  } catch {
    // Said below.
  }
  throw badSpec(
    `${field}: ${url} names no place on this machine: write file:PATH (from the manifest's directory) or file:///PATH`,
  );
}

/**
 * Makes sure that an artifact may go to a place: nothing lies there, or an earlier artifact. Anything else would be lost.
 * @param field names the place in errors
 * @throws OffsiteError BadSpec
 */
export function checkReplaceable(directory: string, field: string): void {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) throw badSpec(`${field}: ${directory} is a file; an artifact is a directory`);
  const names = readdirSync(directory);
  if (names.length > 0 && !names.includes('manifest.json'))
    throw badSpec(
      `${field}: ${directory} holds ${names.length} files and is no artifact; it would be replaced: choose another place`,
    );
}

/**
 * Makes a directory whole or not at all: `fill` writes into a sibling, which is renamed when it is done.
 * An artifact that lay there before is replaced; a sibling left by a killed process is cleared first.
 * @throws OffsiteError BadSpec where something else lies there
 */
export async function writeArtifact(
  directory: string,
  fill: (temporary: string) => void | Promise<void>,
): Promise<void> {
  checkReplaceable(directory, 'spec.output.uri');
  const temporary = `${directory}.partial`;
  const previous = `${directory}.previous`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(dirname(directory), { recursive: true });
  mkdirSync(temporary);
  try {
    await fill(temporary);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  rmSync(previous, { recursive: true, force: true });
  if (existsSync(directory)) renameSync(directory, previous);
  renameSync(temporary, directory);
  rmSync(previous, { recursive: true, force: true });
}

/**
 * The same for a directory that several processes may make at the same time, all with the same bytes: each fills a sibling of
 * its own, the first to end names it, and the others' work is dropped.
 */
export async function writeSharedArtifact(
  directory: string,
  fill: (temporary: string) => void | Promise<void>,
): Promise<void> {
  const temporary = `${directory}.${randomUUID()}.partial`;
  mkdirSync(temporary, { recursive: true });
  try {
    await fill(temporary);
    renameSync(temporary, directory);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    // Another process was first, and may have cleared this one's sibling away.
    if (!existsSync(join(directory, 'manifest.json'))) throw error;
  }
  clearSiblings(directory);
}

/** What processes that were killed, or came second, have left beside a shared artifact that is there now. */
export function clearSiblings(directory: string): void {
  const start = `${basename(directory)}.`;
  for (const name of readdirSync(dirname(directory)))
    if (name.startsWith(start) && name.endsWith('.partial'))
      rmSync(join(dirname(directory), name), { recursive: true, force: true });
}
