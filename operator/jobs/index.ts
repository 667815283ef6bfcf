/** What the three kinds share: from a resource to its Jobs, and from its Jobs to its status. */
export {
  byOutput,
  byOwner,
  byReference,
  type Caches,
  type Followed,
  openCaches,
  ownerKey,
  referenceKey,
  typeOf,
} from './caches.ts';
export { decide } from './decide.ts';
export { statusOf } from './dependencies.ts';
export { type ExecuteOptions, execute } from './execute.ts';
export type { JobSettings } from './job.ts';
export { claimsOf } from './mounts.ts';
export { jobName, label, ours, specHashOf } from './names.ts';
export { Notes } from './notes.ts';
export {
  attemptOf,
  conditionOf,
  endOf,
  isFinished,
  isOwnJob,
  type Job,
  type Pod,
  since,
  workerRunsSince,
} from './objects.ts';
export { type ObserveOptions, observe, writesAlone } from './observe.ts';
export { Entrances, outputKey, writesOf } from './outputs.ts';
export { type Power, powers } from './powers.ts';
export { ProgressWriter } from './progress-writer.ts';
export { Recent } from './recent.ts';
export type { Credentials, Reports } from './reports.ts';
export { readSpec } from './spec.ts';
export * from './stages.ts';
export { type Decision, latestAttempt, type Observed, type Refusal } from './verdict.ts';
export { Warnings } from './warnings.ts';
