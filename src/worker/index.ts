export { endAtOnce } from './end-at-once.ts';
export { type ArtifactReference, type StageJob, type StageName, stagesOf } from './job.ts';
export { failureOf, type StageOutcome } from './outcome.ts';
export { runStage, type StageOptions } from './stage/run-stage.ts';
