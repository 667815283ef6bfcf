// The rules of a Lease, free of I/O: who may take it, and what its holder writes into it.
import type { KubeObject, ObjectMeta } from './objects.ts';

export interface Lease extends KubeObject {
  metadata: ObjectMeta;
  spec?: {
    holderIdentity?: string | null;
    leaseDurationSeconds?: number | null;
    acquireTime?: string | null;
    renewTime?: string | null;
    leaseTransitions?: number | null;
    [field: string]: unknown;
  };
}

/** A lease as this process saw it, and when it first saw it so, by its own monotonic clock. */
export interface Observation {
  lease: Lease;
  /** performance.now() */
  since: number;
}

/** Any write of the holder changes the version: what other machines' clocks say does not count. */
export function observe(lease: Lease, earlier: Observation | undefined, now: number): Observation {
  const unchanged = earlier?.lease.metadata.resourceVersion === lease.metadata.resourceVersion;
  return earlier !== undefined && unchanged ? earlier : { lease, since: now };
}

/** Whether `identity` may take the lease: nobody holds it, or its holder was silent for the lease's whole duration. */
export function isFree(
  { lease, since }: Observation,
  identity: string,
  now: number,
  ownSeconds: number,
): boolean {
  const { holderIdentity, leaseDurationSeconds } = lease.spec ?? {};
  if (!holderIdentity || holderIdentity === identity) return true;
  return now - since >= 1000 * (leaseDurationSeconds ?? ownSeconds);
}

/** The lease with `identity` as its holder, renewed now; the transition is counted if the holder was another. */
export function held(lease: Lease, identity: string, durationSeconds: number, wallClock: Date): Lease {
  const time = microTime(wallClock);
  const mine = lease.spec?.holderIdentity === identity;
  return {
    ...lease,
    spec: {
      ...lease.spec,
      holderIdentity: identity,
      leaseDurationSeconds: durationSeconds,
      acquireTime: mine ? (lease.spec?.acquireTime ?? time) : time,
      renewTime: time,
      leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + (mine ? 0 : 1),
    },
  };
}

/** The lease given back, free to take at once. */
export function released(lease: Lease, wallClock: Date): Lease {
  const time = microTime(wallClock);
  return {
    ...lease,
    spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: time, renewTime: time },
  };
}

/** Kubernetes' MicroTime: RFC 3339 with six digits. */
export const microTime = (time: Date): string => time.toISOString().replace('Z', '000Z');
