import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { badSpec } from '../api/index.ts';

/** Where URIs lie on this machine. */
export interface Mounts {
  /** The directory of each claim, for pvc://CLAIM/... */
  claims: Readonly<Record<string, string>>;
  /** The directory against which a relative file: URI is read. */
  base: string;
}

/**
 * The path on this machine of a file: or pvc: URI.
 * @param field names the URI in errors
 * @throws OffsiteError BadSpec when the claim is not mounted, or the scheme needs a store that is not there
 */
export function resolveUri(uri: string, { claims, base }: Mounts, field: string): string {
  const [, scheme = '', rest = ''] = /^([a-z0-9]+):(.*)$/.exec(uri) ?? [];
  switch (scheme) {
    case 'file':
      return rest.startsWith('//') ? fileURLToPath(uri) : resolve(base, rest);
    case 'pvc': {
      const [, claim = '', path = ''] = /^\/\/([^/]+)\/(.*)$/.exec(rest) ?? [];
      const directory = claims[claim];
      if (directory === undefined) {
        throw badSpec(`${field}: claim ${claim} is not mounted; with offsite run, add --mount ${claim}=DIR`);
      }
      const place = resolve(directory, path);
      if (place !== resolve(directory) && !place.startsWith(join(resolve(directory), '/'))) {
        throw badSpec(`${field}: leaves its claim ${claim}`);
      }
      return place;
    }
    default:
      throw badSpec(`${field}: ${scheme}:// is not supported yet; file: and pvc:// are`);
  }
}

/**
 * Makes a directory whole or not at all: `fill` writes into a sibling, which is renamed when it is done.
 * What lay there before is replaced; a sibling left by a killed process is cleared first.
 */
export async function writeArtifact(
  directory: string,
  fill: (temporary: string) => void | Promise<void>,
): Promise<void> {
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
