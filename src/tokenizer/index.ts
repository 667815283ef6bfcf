export type { ChatTemplate } from './chat-template.ts';
export { openTokenizer, type Tokenizer } from './tokenizer.ts';
