/** What the three kinds share: from a resource to its Jobs, and from its Jobs to its status. */

export type { JobSettings } from './build/job.ts';
export { claimsOf } from './build/mounts.ts';
export { decide } from './decide/decide.ts';
export type { Decision } from './decide/ruling.ts';
export { type ExecuteOptions, execute } from './execute/execute.ts';
export { ProgressWriter } from './execute/progress-writer.ts';
export { Warnings } from './execute/warnings.ts';
export { jobName, label, ours } from './names.ts';
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
} from './observe/caches.ts';
export { Notes } from './observe/notes.ts';
export { type ObserveOptions, observe, writesAlone } from './observe/observe.ts';
export { Recent } from './observe/recent.ts';
export { Entrances, sharingKeys, writesOf } from './outputs.ts';
export type { Credentials, Reports } from './reports.ts';
export { latestAttempt, type Observed, type Refusal, type Situation } from './situation.ts';
export { type Power, powers } from './spec/powers.ts';
export { type Footprint, type KindRules, rulesOf, usual } from './stages.ts';
export { statusOf } from './stored.ts';
