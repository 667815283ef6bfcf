import type { Family } from '../family.ts';
import { llama, mistral, qwen2 } from './llama.ts';

/** Every family that is supported; a new one is a file beside this and a line here. */
export const families: readonly Family[] = [llama, mistral, qwen2];
