/** A small controller runtime: raw JSON objects over the Kubernetes API, caches, queues, one leader, events, health. */
export { ApiError, isAlreadyExists, isConflict, isGone, isNotFound } from './api/api-error.ts';
export { ApiClient } from './api/client.ts';
export type {
  ApplyOptions,
  ClientOptions,
  DeleteOptions,
  ListOptions,
  WatchOptions,
} from './api/client-options.ts';
export { leftOut } from './api/huge-parts.ts';
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
} from './api/objects.ts';
export * from './api/resource-types.ts';
export type { Credentials } from './api/transport.ts';
export type { WatchEvent } from './api/watch.ts';
export { backoffAfter } from './backoff.ts';
export { Controller, type ControllerOptions, type Outcome } from './control/controller.ts';
export { EventRecorder, type EventRecorderOptions, type EventType } from './control/events.ts';
export { Informer, type InformerOptions } from './control/informer.ts';
export { LeaderElection, type LeaderElectionOptions } from './control/leader-election.ts';
export { type HealthServer, type HealthServerOptions, startHealthServer } from './control/server.ts';
export { type ProcessOptions, runUntilTold } from './control/shutdown.ts';
export { type Because, WorkQueue } from './control/work-queue.ts';
export { type Log, logTo, operatorLog, toldOf } from './log.ts';
export { RuntimeMetrics } from './metrics.ts';
export { RateLimit } from './rate-limit.ts';
