// Tokenizers and chat templates from outside, computed in a process of their own.
export { unnamedTokens } from './gguf-parts.ts';
export { stripped } from './program/jinja/text.ts';
export type { Conversation, Written } from './program/messages.ts';
export type { Encoding, RunningTokenizer } from './running.ts';
export { hasTokenizer, openTokenizer, type Tokenizer } from './tokenizer.ts';
