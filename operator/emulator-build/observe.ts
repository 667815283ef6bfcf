import {
  attemptOf,
  claimsOf,
  latestAttempt,
  type Observed,
  type ObserveOptions,
  observe as observeJobs,
  readSpec,
  statusOf,
} from '../jobs/index.ts';
import { isNotFound, type KubeObject, persistentVolumeClaims } from '../runtime/index.ts';
import { begins, workOf } from './build.ts';
import { emulatorBuild } from './decide.ts';

/** Beside what every kind reads: the claims that the probe's pods are to share, before their Job is made. */
export async function observe(key: string, options: ObserveOptions): Promise<Observed | undefined> {
  const observed = await observeJobs(emulatorBuild, key, options);
  if (observed === undefined || hasBegunOrEnded(observed)) return observed;
  const resource = readSpec(emulatorBuild, observed.object);
  if (resource === undefined || resource.spec.suspend || begins(resource) !== 'probe') return observed;
  const { shards = 1, reads, writes } = workOf(resource, 'probe', {});
  if (shards === 1) return observed;
  const namespace = observed.object.metadata.namespace ?? '';
  const claims = new Map<string, KubeObject | undefined>();
  for (const name of claimsOf([...reads, ...writes])) {
    claims.set(name, await orNothing(options.client.get(persistentVolumeClaims, namespace, name)));
  }
  return { ...observed, claims };
}

/** Jobs of earlier attempts may still be there; what has ended shares nothing any more. */
function hasBegunOrEnded({ object, jobs }: Observed): boolean {
  const { phase } = statusOf(object);
  const latest = latestAttempt(object, jobs);
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
