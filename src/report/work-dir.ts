// The report's record from a work dir, and the note there of where a run's addresses lie.
import { readdirSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { badSpec, kinds } from '../api/index.ts';
import {
  boundedBytes,
  canonicalJson,
  isThere,
  readKept,
  readKeptJson,
  writeWholeAmongOthers,
} from '../artifact/index.ts';
import { type FoundResource, gather } from './gather.ts';
import type { ReportRecord } from './record.ts';

const resourceFile = 'resource.yaml';

/** Where a run keeps a resource with its status. */
export const resourceFileOf = (
  workDir: string,
  { kind, metadata }: { kind: string; metadata: { name: string } },
): string => join(workDir, kind.toLowerCase(), metadata.name, resourceFile);

/** The note of where the latest run's addresses lie, which makes a directory a work dir. */
export const runFileOf = (workDir: string): string => join(workDir, 'run.json');

/** The page that each run leaves at its end. */
export const reportFileOf = (directory: string): string => join(directory, 'report.html');

const runSchema = z.object({
  /** The directory of each claim. */
  claims: z.record(z.string(), z.string()),
  /** The resources of the run, by their path in the work dir: the directory against which relative file: addresses are read. */
  resources: z.record(z.string(), z.string()),
  /** Where the run kept its copies of what lies in stores. */
  scratch: z.string(),
  /** Where what is not the artifact lies, for resources that name no place of their own. */
  work: z.string().default('work'),
});

/** Where the addresses of a run lie on this machine. */
export type RunPlaces = z.output<typeof runSchema>;

/** Keeps in the work dir where a run's addresses lie, relative to it, so that its report can be made again. */
export function writeRun(workDir: string, { claims, resources, scratch, work }: RunPlaces): void {
  const from = (path: string) => relative(resolve(workDir), resolve(path)) || '.';
  const allFrom = (directories: Record<string, string>) =>
    Object.fromEntries(Object.entries(directories).map(([name, path]) => [name, from(path)]));
  const places = {
    claims: allFrom(claims),
    resources: allFrom(resources),
    scratch: from(scratch),
    work: from(work),
  };
  writeWholeAmongOthers(runFileOf(workDir), canonicalJson(places));
}

/** Whether a run of ours has worked there. */
export const isRunDir = (workDir: string): boolean => readKept(runSchema, runFileOf(workDir)) !== undefined;

/**
 * The record of a work dir of `offsite run`: the resources of its latest run, or all that lie there where that is not known.
 * @param claims directories of claims, before those that the run was given
 * @throws OffsiteError BadSpec where it is no work dir
 */
export function gatherWorkDir(workDir: string, claims: Record<string, string> = {}): ReportRecord {
  const run = readRun(workDir);
  const at = (path: string) => resolve(workDir, path);
  const mounted = Object.entries(run?.claims ?? {}).map(([claim, path]) => [claim, at(path)]);
  const found = resourcesIn(workDir)
    .filter((path) => run === undefined || path in run.resources)
    .map((path): FoundResource => {
      const where = join(workDir, path, resourceFile);
      const mounts = {
        claims: { ...Object.fromEntries(mounted), ...claims },
        base: at(run?.resources[path] ?? '.'),
        scratch: run && at(run.scratch),
        work: at(run?.work ?? 'work'),
      };
      return { value: readYaml(where), where, mounts };
    });
  if (found.length === 0) {
    throw badSpec(
      `${workDir}: holds no resources; give the work dir of \`offsite run\` (.offsite/run by default), or a resource's name with --namespace for a cluster`,
    );
  }
  return gather(basename(resolve(workDir)), found);
}

function resourcesIn(workDir: string): string[] {
  return Object.keys(kinds)
    .map((kind) => kind.toLowerCase())
    .filter((kind) => isThere(join(workDir, kind)))
    .flatMap((kind) => readdirSync(join(workDir, kind)).map((name) => `${kind}/${name}`))
    .filter((path) => mayBeThere(join(workDir, path, resourceFile)));
}

/** What its reader may not look at is there, and said to be unreadable. */
function mayBeThere(path: string): boolean {
  try {
    return isThere(path);
  } catch {
    return true;
  }
}

/** An API server takes none of more than some MiB. */
const largestResource = 4 << 20;

/** A damaged file is no resource, which gather() says. */
function readYaml(file: string): unknown {
  try {
    const bytes = boundedBytes(file, largestResource);
    return typeof bytes === 'string'
      ? undefined
      : parse(new TextDecoder().decode(bytes), { uniqueKeys: false, logLevel: 'error' });
  } catch {
    return undefined;
  }
}

function readRun(workDir: string): RunPlaces | undefined {
  const file = runFileOf(workDir);
  if (!isThere(file)) return undefined;
  try {
    return runSchema.parse(readKeptJson(file));
  } catch {
    throw badSpec(`${file}: is damaged; remove it, and name the claims with --mount CLAIM=DIR`);
  }
}
