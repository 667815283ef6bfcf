// What computes on somebody's bytes outside of JavaScript's heap does so in a process of its own, within bounds.
export type { Limits } from './messages.ts';
export { handedOver, type Outcome, Subprocess, type SubprocessOptions, shareOfMemory } from './subprocess.ts';
