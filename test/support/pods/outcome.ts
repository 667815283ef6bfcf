import type { EmulatorBuildStatus, PlugInStatus } from '../../../src/api/index.ts';
import type { LiveResource } from '../cluster/resources.ts';

export type Outcome = ReturnType<typeof outcomeOf>;

/** What must not depend on where, in how many pods, or how smoothly the work was done. */
export function outcomeOf({ kind, status }: LiveResource) {
  const { plan } = status as EmulatorBuildStatus;
  const { evaluation } = status as PlugInStatus;
  return { kind, plan, evaluation, digest: status?.artifact?.digest };
}
