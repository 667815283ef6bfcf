export type { Limits } from './computing.ts';
export type { Conversation, Written } from './program/messages.ts';
export type { Encoding, RunningTokenizer } from './running.ts';
export { hasTokenizer, openTokenizer, type Tokenizer } from './tokenizer.ts';
