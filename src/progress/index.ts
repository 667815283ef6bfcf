export * from './consume.ts';
export * from './estimate.ts';
export * from './events.ts';
export { addressOf, type EventFilter, type EventMessage, subjectOf } from './message.ts';
export * from './nats.ts';
export * from './terminal.ts';
export * from './watch.ts';
export { duration } from './words.ts';
