import type { Family } from '../family.ts';
import { llama } from './llama.ts';

/** Every family that is supported; a new one is a file beside this and a line here. */
export const families: readonly Family[] = [llama];
