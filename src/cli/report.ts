// The command that writes a report, and the report that each run leaves in its work dir.
import { statSync } from 'node:fs';
import { badSpec, printableJson } from '../api/index.ts';
import { isThere } from '../artifact/index.ts';
import {
  gatherCluster,
  gatherWorkDir,
  type ReportRecord,
  reportFileOf,
  writeReport,
  writeRun,
} from '../report/index.ts';
import { parseMounts } from './arguments.ts';
import type { LoadedResource } from './manifests.ts';
import { storesOf, workOf } from './run.ts';

interface ReportFlags {
  namespace?: string;
  output?: string;
  mount: string[];
  json?: boolean;
}

/** `offsite report`: the page of a work dir, or of resources in a cluster. */
export async function reportCommand(subject: string, flags: ReportFlags): Promise<void> {
  const claims = parseMounts(flags.mount);
  const { namespace } = flags;
  const inCluster = namespace !== undefined || (!isDirectory(subject) && isName(subject));
  const file = flags.output ?? reportFileOf(inCluster ? '.' : subject);
  const record = inCluster
    ? await gatherCluster({ name: subject, namespace, claims })
    : gatherWorkDir(workDirOf(subject), claims);
  await writeReport(record, file);
  console.log(flags.json ? printableJson({ report: file, ...counts(record) }) : `Report: ${file}`);
}

/** Keeps where the addresses of a run lie, so that its report can be made again later. */
export function keepRun(
  workDir: string,
  claims: Record<string, string>,
  loaded: readonly LoadedResource[],
): void {
  const resources = Object.fromEntries(
    loaded.map(({ resource, base }) => [`${resource.kind.toLowerCase()}/${resource.metadata.name}`, base]),
  );
  writeRun(workDir, { claims, resources, scratch: storesOf(workDir), work: workOf(workDir) });
}

/** Writes the report of a run that has ended, however it ended. @returns where it is, or why there is none */
export async function reportOfRun(workDir: string): Promise<{ report: string } | { problem: string }> {
  const report = reportFileOf(workDir);
  try {
    await writeReport(gatherWorkDir(workDir), report);
    return { report };
  } catch (error) {
    return { problem: `the report could not be written: ${(error as Error).message}` };
  }
}

function workDirOf(path: string): string {
  if (isDirectory(path)) return path;
  throw badSpec(
    `${path}: is no directory; give the work dir of \`offsite run\`, or the name of resources in a cluster`,
  );
}

const isDirectory = (path: string) => isThere(path) && statSync(path).isDirectory();

/** Whether resources can be called so; a path that leads somewhere has more than that. */
const isName = (subject: string) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(subject);

const counts = ({ builds, tunes, plugIns, unreadable }: ReportRecord) => ({
  emulatorBuilds: builds.length,
  offsiteTunes: tunes.length,
  plugIns: plugIns.length,
  unreadable,
});
