// Progress of stages: events, their transport over NATS, and displays for a terminal.
export * from './estimate.ts';
export * from './events.ts';
export * from './nats/consume.ts';
export { watchersApi } from './nats/fetch.ts';
export {
  addressOf,
  type EventFilter,
  type EventMessage,
  type RunAddress,
  subjectOf,
} from './nats/message.ts';
export type { HeardMessage } from './nats/ordered.ts';
export * from './nats/publish.ts';
export { whyUnreachable } from './nats/reachability.ts';
export { streamName } from './nats/stream.ts';
export * from './nats/watch.ts';
export type { ResourceIdentity } from './resource.ts';
export * from './terminal/open.ts';
export type { FinishedResource, Terminal } from './terminal/terminal.ts';
export { duration } from './terminal/words.ts';
