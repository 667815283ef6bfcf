import { setTimeout as sleep } from 'node:timers/promises';
import type { Resource, Status } from '../../../src/api/index.ts';
import { kubectl } from './kubectl.ts';

/** A resource as the API server has it. */
export type LiveResource = Resource & {
  readonly metadata: { readonly uid: string };
  readonly status?: Status;
};

/** All EmulatorBuilds, OffsiteTunes and PlugIns of a namespace, in that order. */
export function offsiteResources(kubeconfig: string, namespace: string): LiveResource[] {
  const kinds = 'emulatorbuilds,offsitetunes,plugins';
  const text = kubectl(kubeconfig, ['get', kinds, '-n', namespace, '-o', 'json']);
  return (JSON.parse(text) as { items: LiveResource[] }).items;
}

/**
 * Waits until all resources of a namespace have ended.
 * @param seen called with every resource each time they are read
 * @throws if they have not after `limitMs`, with each one's conditions
 */
export async function untilEnded(
  kubeconfig: string,
  namespace: string,
  { limitMs, seen = () => {} }: { limitMs: number; seen?: (resource: LiveResource) => void },
): Promise<LiveResource[]> {
  const deadline = Date.now() + limitMs;
  let resources: LiveResource[] = [];
  for (;;) {
    try {
      resources = offsiteResources(kubeconfig, namespace);
    } catch (error) {
      // The API server may be away for a while.
      if (Date.now() > deadline) throw error;
    }
    resources.forEach(seen);
    if (resources.length > 0 && resources.every(hasEnded)) return resources;
    // What waits for a failed one never ends.
    if (resources.some(({ status }) => status?.phase === 'Failed') && !resources.some(isRunning))
      return resources;
    if (Date.now() > deadline) {
      throw new Error(`not ended after ${limitMs / 1000} s:\n${resources.map(conditionsText).join('\n')}`);
    }
    await sleep(1000);
  }
}

export const isComplete = ({ status }: LiveResource) => status?.phase === 'Complete';
const isRunning = ({ status }: LiveResource) => status?.phase === 'Running';
const hasEnded = ({ status }: LiveResource) => status?.phase === 'Complete' || status?.phase === 'Failed';

export function conditionsText({ kind, metadata, status }: LiveResource): string {
  const conditions = status?.conditions ?? [];
  const lines = conditions.map(
    ({ type, status: value, reason, message }) => `  ${type}=${value} ${reason}: ${message}`,
  );
  return [`${kind} ${metadata.name} ${status?.phase ?? '(no status)'}`, ...lines].join('\n');
}
