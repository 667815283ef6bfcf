// The report of a run: gathered from a work dir or a cluster, written as one HTML page.
export { type ClusterOptions, gatherCluster } from './cluster.ts';
export type { ReportRecord } from './record.ts';
export {
  gatherWorkDir,
  isRunDir,
  type RunPlaces,
  reportFileOf,
  resourceFileOf,
  runFileOf,
  writeRun,
} from './work-dir.ts';
export { writeReport } from './write.ts';
