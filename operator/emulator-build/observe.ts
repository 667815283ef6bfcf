import type { EmulatorBuild } from '../../src/api/index.ts';
import {
  attemptOf,
  claimsOf,
  type ObserveOptions,
  observe as observeJobs,
  type Situation,
  statusOf,
} from '../jobs/index.ts';
import { isNotFound, type KubeObject, persistentVolumeClaims } from '../runtime/index.ts';
import { begins, workOf } from './build.ts';
import { emulatorBuild } from './decide.ts';

/** Beside what every kind reads: the claims that the probe's pods are to share, before their Job is made. */
export async function observe(key: string, options: ObserveOptions): Promise<Situation | undefined> {
  const situation = await observeJobs(emulatorBuild, key, options);
  if (situation === undefined || hasBegunOrEnded(situation)) return situation;
  const { observed, checked } = situation;
  const resource = 'resource' in checked ? (checked.resource as EmulatorBuild) : undefined;
  if (resource === undefined || resource.spec.suspend || begins(resource) !== 'probe') return situation;
  const { shards = 1, reads, writes } = workOf(resource, 'probe', {});
  if (shards === 1) return situation;
  const namespace = observed.object.metadata.namespace ?? '';
  const claims = new Map<string, KubeObject | undefined>();
  for (const name of claimsOf([...reads, ...writes])) {
    claims.set(name, await orNothing(options.client.get(persistentVolumeClaims, namespace, name)));
  }
  return { ...situation, observed: { ...observed, claims } };
}

/** Jobs of earlier attempts may still be there; what has ended shares nothing any more. */
function hasBegunOrEnded({ observed: { object, jobs }, latest }: Situation): boolean {
  const { phase } = statusOf(object);
  return phase === 'Complete' || phase === 'Failed' || jobs.some((job) => attemptOf(job) === latest);
}

async function orNothing(object: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await object;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
