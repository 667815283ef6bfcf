// Confinement of a pod to the claims that its spec names, whatever symbolic links lie there.
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { besideOf, isWithin, mostEntries, realPlace } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { inputsOf, outputOf, workOf } from '../places.ts';

/**
 * In a pod, what a stage names on a claim lies on that claim, whatever symbolic links are on the way and in it: who may write
 * to a claim that is shared must not make a pod read another one, or write to it. On a machine of one's own, links are one's
 * own. What is kept beside what it writes (locks, results, what is being made) is ours, and holds no links at all.
 * @throws OffsiteError BadSpec naming the field and the link
 */
export function checkConfined(job: StageJob): void {
  const { claims, confined } = job.mounts;
  if (!confined) return;
  const { own, shared } = workOf(job);
  const claimOf = (path: string) => Object.values(claims).find((directory) => isWithin(path, directory));
  const written = [
    { field: 'spec.output.uri', path: outputOf(job) },
    ...[own, shared].map((path) => ({ field: 'spec.work.uri', path })),
  ];
  for (const { field, path } of [...inputsOf(job), ...written]) {
    const claim = claimOf(path);
    if (claim !== undefined)
      checkLinks(path, { field, root: realPlace(claim, field), seen: new Set(), entries: 0, links: 0 });
  }
  for (const { field, path } of written)
    if (claimOf(path) !== undefined)
      for (const place of new Set([path, realPlace(path, field)]))
        for (const beside of besideOf(place)) refuseLinks(beside, field);
}

/** Looks at a path and at all that lies in it. */
function refuseLinks(path: string, field: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink())
    throw badSpec(
      `${field}: ${path} is a symbolic link; its name is kept for what a run makes there: remove it`,
    );
  if (stat?.isDirectory()) for (const { name } of entriesOf(path)) refuseLinks(join(path, name), field);
}

/** None where the directory has gone by now: another process of the same resource, or of a neighbour, may be at its end there. */
function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Of one place: more links than a cache of models has. */
const mostLinks = 1_000;
/** Of a path below its claim, in characters: an artifact's own have 1,024 at most, and lie some directories deep. */
const longestPath = 1_280;

/** Where the links of one place may lead, and what was looked at there. */
interface Look {
  readonly field: string;
  /** The claim's real place. */
  readonly root: string;
  /** Real directories. */
  readonly seen: Set<string>;
  entries: number;
  links: number;
}

/** Looks at a path and, where it is a directory, at all that lies in it. */
function checkLinks(path: string, look: Look): void {
  const real = realPlace(path, look.field);
  if (!isWithin(real, look.root))
    throw badSpec(
      `${look.field}: a symbolic link leads from ${path} out of its claim; put there what it leads to`,
    );
  if (!look.seen.has(real) && statSync(real, { throwIfNoEntry: false })?.isDirectory())
    checkDirectory(real, look);
}

/** Goes on by real paths, so that each link is followed once, from where it lies. */
function checkDirectory(real: string, look: Look): void {
  look.seen.add(real);
  for (const entry of entriesOf(real)) {
    look.entries += 1;
    look.links += entry.isSymbolicLink() ? 1 : 0;
    if (look.entries > mostEntries || look.links > mostLinks)
      throw badSpec(
        `${look.field}: more than ${mostEntries} files and directories, or more than ${mostLinks} symbolic links, lie there; name a place of its own`,
      );
    const path = join(real, entry.name);
    if (path.length - look.root.length > longestPath)
      throw badSpec(
        `${look.field}: paths of more than ${longestPath} characters lie there; name a place of its own`,
      );
    if (entry.isSymbolicLink()) checkLinks(path, look);
    else if (entry.isDirectory() && !look.seen.has(path)) checkDirectory(path, look);
  }
}
