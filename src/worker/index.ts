// The worker: runs one stage of one resource, in a pod or in a local run.
export { endAtOnce } from './end-at-once.ts';
export type { StageJob } from './job.ts';
export { failureOf, type StageOutcome } from './outcome.ts';
export { runStage, type StageOptions } from './stage/run-stage.ts';
export type { KeyPlace } from './stage/signing.ts';
