// The audit of what an adapter tells of its rows: membership inference and canaries.
export { type Audited, audit, checkAuditable, takeSealed } from './audit.ts';
export { canaries } from './canaries.ts';
