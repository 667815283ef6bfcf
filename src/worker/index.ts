export { type ArtifactReference, type StageJob, type StageName, stagesOf } from './job.ts';
export type { StageOutcome } from './outcome.ts';
export { runStage } from './thread.ts';
