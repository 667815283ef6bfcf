export { openTokenizer, type Tokenizer } from './tokenizer.ts';
