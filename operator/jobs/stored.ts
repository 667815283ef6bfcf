/** What the operator itself wrote into a resource earlier: its status, as it is stored. */
import type { Condition } from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import type { ReadArtifact } from './stages.ts';

interface StoredArtifact {
  readonly uri: string;
  readonly digest: string;
  readonly sizeBytes?: number;
}

export interface StoredStatus {
  readonly phase?: string;
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number;
  readonly startTime?: string;
  readonly completionTime?: string;
  readonly attempt?: number;
  readonly specHash?: string;
  /** By role, several of one kind in a list. */
  readonly inputs?: Readonly<Record<string, ReadArtifact | readonly ReadArtifact[]>>;
  readonly artifact?: StoredArtifact;
  /** The work place that remembers of what only one may be made, once one was begun. */
  readonly keptIn?: string;
  readonly progress?: unknown;
  readonly [field: string]: unknown;
}

export const statusOf = (object: KubeObject): StoredStatus => (object['status'] ?? {}) as StoredStatus;

/** The condition of this type, if it is True and about the present spec. */
export function holds(object: KubeObject, type: string): Condition | undefined {
  const condition = statusOf(object).conditions?.find(
    (other) => other.type === type && other.status === 'True',
  );
  return condition?.observedGeneration === object.metadata.generation ? condition : undefined;
}
