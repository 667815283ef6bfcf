/** How the Jobs of a resource are named and marked, so that they are found again after any crash. */
import { group, stageNames } from '../../src/api/index.ts';
import type { StageName } from './stages.ts';

export const label = {
  name: 'app.kubernetes.io/name',
  component: 'app.kubernetes.io/component',
  managedBy: 'app.kubernetes.io/managed-by',
  /** Kind, name and uid of the resource that the Job works for. */
  ownerKind: `${group}/kind`,
  ownerName: `${group}/name`,
  ownerUid: `${group}/uid`,
  stage: `${group}/stage`,
  attempt: `${group}/attempt`,
} as const;

export const annotation = {
  /** Of the spec as the Job runs it: another one makes another attempt. */
  run: `${group}/run-hash`,
  /** Of the artifacts that the Job reads, by address and digest. */
  inputs: `${group}/inputs-hash`,
  /** The queue that the resource named when the Job was made. */
  queue: `${group}/queue`,
  /** On a pod: its memory limit, where that is the installation's and no template's. */
  defaultMemory: `${group}/default-memory-limit`,
  /** On a pod: the work place that will remember what it makes, where only one may be made. */
  keptIn: `${group}/kept-in`,
  /** On a resource: how large its model is ("15Gi"), for the pods' requests. */
  modelSize: `${group}/model-size`,
} as const;

/** On the pods of a Job with shards, by Kubernetes: which shard a pod works on. */
export const completionIndex = 'batch.kubernetes.io/job-completion-index';

/** What all our Jobs and pods carry; informers select by it. */
export const ours = { [label.managedBy]: 'offsite-operator' } as const;

const longestJobName = 52;
/** Of a spec's hash in a name: Jobs are told apart by their attempt, and what they run by their annotation. */
const hashInName = 10;

/** `words-tune-1f0c9a77b2-1`: at most 52 characters; a long resource name is cut, the hash's beginning never. */
export function jobName(
  name: string,
  stage: StageName,
  { specHash, attempt }: { readonly specHash: string; readonly attempt: number },
): string {
  const tail = `-${stage}-${specHash.slice(0, hashInName)}-${attempt}`;
  return `${name.slice(0, longestJobName - tail.length).replace(/-+$/, '')}${tail}`;
}

/** What a Job's name says of it: unlike labels, nobody changes it. Undefined where it is no name of ours. */
export function partsOfJobName(name: string): { stage: StageName; attempt: number } | undefined {
  const [, word, attempt] = /-([a-z]+)-[0-9a-f]{10}-([1-9][0-9]{0,8})$/.exec(name) ?? [];
  const stage = stageNames().find((known) => known === word);
  return stage && { stage, attempt: Number(attempt) };
}

/** The Secret with the credentials by which a Job's pods report. */
export const credentialsName = (job: string): string => `${job}-nats`;
