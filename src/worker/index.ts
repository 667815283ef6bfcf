export { endAtOnce } from './end-at-once.ts';
export type { StageJob } from './job.ts';
export { failureOf, type StageOutcome } from './outcome.ts';
export { runStage, type StageOptions } from './stage/run-stage.ts';
