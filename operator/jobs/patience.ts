// How long the operator waits before it tells of something, or acts on it.

/** In milliseconds. */
export const patience = {
  /** How long a pod may take after its grace period before its node counts as lost. */
  ending: 30_000,
  /** How long a node may say nothing, and containers may run on after the worker, before that is told. */
  silence: 15_000,
  /** How long a pod may take to be made, or to get a container, before its events are looked at. */
  starting: 10_000,
  /** How far watches may be apart. */
  seeing: 10_000,
  /** How long an init container may take before that is told. */
  preparing: 30_000,
  /** How long containers may run on after the worker before their pod is ended. */
  lingering: 60_000,
} as const;
