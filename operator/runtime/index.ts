/** A small controller runtime: raw JSON objects over the Kubernetes API, caches, queues, one leader, events, health. */
export { ApiError, isAlreadyExists, isConflict, isGone, isNotFound } from './api-error.ts';
export { ApiClient } from './client.ts';
export type {
  ApplyOptions,
  ClientOptions,
  DeleteOptions,
  ListOptions,
  WatchOptions,
} from './client-options.ts';
export { Controller, type ControllerOptions, type Outcome } from './controller.ts';
export { EventRecorder, type EventRecorderOptions, type EventType } from './events.ts';
export { Informer, type InformerOptions } from './informer.ts';
export { LeaderElection, type LeaderElectionOptions } from './leader-election.ts';
export { type Log, operatorLog, toldOf } from './log.ts';
export { RuntimeMetrics } from './metrics.ts';
export {
  apiVersionOf,
  isNewer,
  type KubeObject,
  keyFrom,
  keyOf,
  type ObjectList,
  type ObjectMeta,
  type OwnerReference,
  type ResourceType,
  splitKey,
} from './objects.ts';
export { RateLimit } from './rate-limit.ts';
export * from './resource-types.ts';
export { type HealthServer, type HealthServerOptions, startHealthServer } from './server.ts';
export { type ProcessOptions, runUntilTold } from './shutdown.ts';
export type { Credentials } from './transport.ts';
export type { WatchEvent } from './watch.ts';
export { WorkQueue } from './work-queue.ts';
