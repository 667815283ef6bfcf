/** What the three kinds share: from a resource to its Jobs, and from its Jobs to its status. */
export { decide } from './decide.ts';
export type { JobSettings } from './job.ts';
export * from './stages.ts';
export type { Decision, Observed, Refusal } from './verdict.ts';
