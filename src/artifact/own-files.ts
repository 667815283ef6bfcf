// Which files are a directory's own, whatever links lie in it: who published it may have laid them, to files of its user's.
import { realpathSync } from 'node:fs';
import { join, relative } from 'node:path';
import { badModel } from '../api/index.ts';
import { isWithin, placeOf } from './confinement.ts';
import type { PlainFile } from './plain-file.ts';
import { isThere } from './unanswered.ts';

/** A snapshot in the hub's cache holds links to files of its repository: ../../blobs/HASH. */
const inHubCache = /^(?<repository>.*\/(?:models|datasets)--[^/]+)\/snapshots\/[^/]+(\/|$)/;

/**
 * Looks at where an open file of a directory really lies, before anything is read of it. Its own are those in the directory, of
 * what is hidden there none but by its own name (.git/config may hold a token), and of a snapshot in the hub's cache those of its
 * repository's blobs.
 * @throws OffsiteError BadModel naming the file and where it leads
 */
export function ownFilesOf(
  directory: string,
): (path: string) => (opened: Pick<PlainFile, 'descriptor'>) => void {
  const real = realpathSync(directory);
  const repository = inHubCache.exec(real)?.groups?.['repository'];
  const isOwn = (path: string, place: string) =>
    isWithin(place, real)
      ? place === join(real, relative(directory, path)) || !/(^|\/)\./.test(relative(real, place))
      : repository !== undefined && isWithin(place, join(repository, 'blobs'));
  return (path) =>
    ({ descriptor }) => {
      const place = isThere('/proc/self/fd') ? placeOf(descriptor) : realpathSync(path);
      if (isOwn(path, place)) return;
      throw badModel(
        `${path}: leads by a symbolic link to ${place}, which is no file of its directory's own, and would be given on, or its sha256: look at what that is, and take it out, or only where it belongs there put the file itself there (cp -L)`,
      );
    };
}
