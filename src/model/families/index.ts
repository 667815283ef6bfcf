// The registry of the supported model families.
import type { Family } from '../family.ts';
import { bloom } from './bloom.ts';
import { gemma2, gemma3 } from './gemma.ts';
import { gptNeox } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { opt } from './opt.ts';
import { phi3 } from './phi3.ts';
import { qwen3 } from './qwen3.ts';

/** Every family that is supported; a new one is a file beside this and a line here. */
export const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  opt,
  gpt2,
  gptNeox,
  bloom,
  gemma2,
  gemma3,
  phi3,
];
