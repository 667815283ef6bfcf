// Resolves the URIs of a spec to paths of this machine, and refuses those that lead out of their claim.
import { lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { badSpec } from '../../api/index.ts';
import { parseStoreUri, pathOfCopy } from './copies.ts';

/** Where URIs lie on this machine. */
export interface Mounts {
  /** The directory of each claim, for pvc://CLAIM/... */
  claims: Readonly<Record<string, string>>;
  /** Whether symbolic links may not lead out of a claim: others write there too. */
  confined?: boolean | undefined;
  /** The directory against which a relative file: URI is read; none is read when absent. */
  base?: string | undefined;
  /** Where what lies in a store (s3://) is kept while it is worked on. */
  scratch?: string | undefined;
  /** Where work lies whose resource names no place for it; beside no output, when absent (workPlacesOf). */
  work?: string | undefined;
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
      if (base === undefined) throw badSpec(`${field}: file: cannot be read here`);
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
 * Where a path leads, whatever symbolic links are on the way: of what is not there yet, below its deepest directory that is.
 * @param field names the path in errors
 * @throws OffsiteError BadSpec for a link that leads nowhere
 */
export function realPlace(path: string, field: string): string {
  try {
    return realpathSync.native(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR') throw badSpec(`${field}: ${path} lies below a file; name a directory's place`);
    const there = lstatSync(path, { throwIfNoEntry: false }) !== undefined;
    if (code === 'ELOOP' || (code === 'ENOENT' && there))
      throw badSpec(`${field}: ${path} is a symbolic link that leads nowhere; name the place itself`);
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    return join(realPlace(dirname(path), field), basename(path));
  }
}

/** Whether two real places are one, or one lies in the other. */
export const overlap = (a: string, b: string): boolean =>
  a === b || a.startsWith(join(b, '/')) || b.startsWith(join(a, '/'));
