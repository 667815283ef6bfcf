/** Everything that is known about one resource at one moment; decisions are made from this alone. */
import type { Problem, Resource } from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import { attemptOf, type Job, type Pod } from './objects.ts';
import type { StageName } from './stages.ts';
import { statusOf } from './stored.ts';

/** What was read, and what follows from it, each once: no policy reads the spec or counts attempts anew. */
export interface Situation {
  readonly observed: Observed;
  readonly checked: Checked;
  /** The latest attempt that was decided on or has a Job; 0 when there was none. */
  readonly latest: number;
}

/** The spec with its defaults, or every problem by field. */
export type Checked =
  | { readonly resource: Resource; readonly modelBytes: number | undefined }
  | { readonly problems: readonly Problem[] };

/** Everything that was read, at one moment, about one resource. */
export interface Observed {
  readonly object: KubeObject;
  /** The resource's own Jobs, and the pods of these and those that carry its uid. */
  readonly jobs: readonly Job[];
  readonly pods: readonly Pod[];
  /** Jobs and pods that are not its own, of its kind and name or of its output, and may still write there. */
  readonly others: readonly (Job | Pod)[];
  /** What the references name, by role. */
  readonly dependencies: Readonly<Record<string, KubeObject | undefined>>;
  /** The claims whose access modes matter, by name; undefined where there is none. */
  readonly claims: ReadonlyMap<string, KubeObject | undefined>;
  /** By uid: what events say about a Job or pod that does not get on. */
  readonly notes: ReadonlyMap<string, string>;
  readonly reports: {
    /** Whether NATS can be heard; undefined where there is none. */
    readonly connected: boolean | undefined;
    /** For how long NATS was heard without a break: a report of before had that long to arrive. */
    readonly heardMilliseconds?: number | undefined;
    readonly results: Readonly<Partial<Record<StageName, unknown>>>;
  };
  /** The API server's last refusal of this resource's Job. */
  readonly refusal?: Refusal | undefined;
}

export interface Refusal {
  readonly message: string;
  /** Whether the Job itself is wrong: the same one is not tried again. */
  readonly final: boolean;
  /** The spec that it was made from. */
  readonly generation: number;
  /** Milliseconds since the epoch. */
  readonly tryAgainAt: number;
}

/** The latest attempt that was decided on or has a Job; 0 when there was none. */
export function latestAttempt(object: KubeObject, jobs: readonly Job[]): number {
  const { attempt = 0 } = statusOf(object);
  // An attempt is in the status before its Job is made: one that is far ahead of it was made by somebody else.
  return Math.max(attempt, ...jobs.map(attemptOf).filter((made) => made <= attempt + farAhead));
}

/** A status that was lost, or that this cache does not show yet, is not behind by more. */
const farAhead = 1000;
