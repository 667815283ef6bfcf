// A pod's job, and the identity under which its result is found again.
import { declaredStage, fingerprint, hashOfSpec, readPodJob, shardOf } from '../../api/index.ts';
import type { StageJob } from '../job.ts';
import type { PodSettings } from './pod-settings.ts';

/** A pod's stage, and what makes its work itself: the same identity has the same result. */
export interface PodWork {
  job: StageJob;
  identity: string;
  /** What is reported is about this attempt. It makes no other work. */
  attempt: number | undefined;
}

/**
 * What the pod is asked for, with where its things lie.
 * @throws OffsiteError BadSpec naming the field; never with what stands there
 */
export function podWork(settings: PodSettings): PodWork {
  const { stage, attempt, resource, inputs, shards, written } = readPodJob(settings.job);
  const { claims, scratch } = settings;
  const isShared = declaredStage(resource.kind, stage).shards !== undefined;
  const job: StageJob = {
    stage,
    resource,
    inputs,
    mounts: { claims, confined: true, base: '/', scratch },
    ...(isShared && { shard: shardOf(settings.shard, shards ?? 1) }),
  };
  const spec = hashOfSpec(resource.kind, written.uid, written.spec);
  return { job, attempt, identity: fingerprint({ stage, spec, inputs: addressesOf(inputs) }) };
}

/** As all versions wrote them into the identity: by role, and null where there is no second or first. */
function addressesOf(inputs: StageJob['inputs']) {
  const addresses = Object.values(inputs).map(({ uri, digest }) => [uri, digest]);
  return [...addresses, null, null].slice(0, Math.max(2, addresses.length));
}
