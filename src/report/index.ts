export { type ClusterOptions, gatherCluster } from './cluster.ts';
export type { ReportRecord } from './record.ts';
export { gatherWorkDir, type RunPlaces, writeRun } from './work-dir.ts';
export { writeReport } from './write.ts';
