// Data sets: from files of rows to packed batches of tokens.
export * from './digest.ts';
export * from './example.ts';
export * from './mask.ts';
export * from './mixing.ts';
export * from './order.ts';
export * from './pack.ts';
export * from './parts.ts';
export * from './random.ts';
export * from './read.ts';
export { PackedRoom, packedOfThread, tokensOfThread } from './row-room.ts';
export * from './rows.ts';
export * from './targets.ts';
export * from './tasks/index.ts';
export * from './tokenize.ts';
