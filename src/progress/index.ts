export * from './estimate.ts';
export * from './events.ts';
export type { EventFilter, EventMessage } from './message.ts';
export * from './nats.ts';
export * from './terminal.ts';
export * from './watch.ts';
export { duration } from './words.ts';
