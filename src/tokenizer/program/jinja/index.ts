// Jinja as transformers sets it up for chat templates.
export { Fault, Refusal } from './faults.ts';
export { Program } from './interpreter.ts';
export type { Value } from './values.ts';
