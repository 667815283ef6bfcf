export { type Ended, type Options, offsite, type Running, startOffsite } from './run.ts';
export { digestIn, failureOf, type SavedStatus, savedStatus } from './status.ts';
