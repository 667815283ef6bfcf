export * from './digest.ts';
export * from './mask.ts';
export * from './order.ts';
export * from './pack.ts';
export * from './random.ts';
export * from './read.ts';
export * from './rows.ts';
export * from './tokenize.ts';
