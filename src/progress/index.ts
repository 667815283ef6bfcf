export * from './estimate.ts';
export * from './events.ts';
export * from './terminal.ts';
export { duration } from './words.ts';
