// The job of a worker: a stage, its resource, resolved inputs, mounts and shard.
import {
  type ArtifactReference,
  declaredStage,
  type Resource,
  type Shard,
  type StageName,
} from '../api/index.ts';
import type { Mounts, Replaceable } from '../artifact/index.ts';

/** All that one stage of one resource needs: references are resolved, nothing points into a cluster. */
export interface StageJob {
  stage: StageName;
  resource: Resource;
  mounts: Mounts;
  /** By role: the artifacts that the resource's references lead to. */
  inputs: Readonly<Record<string, ArtifactReference>>;
  /** Which artifact at the output may be replaced, as far as is known: one that may not can only be this very work. */
  mayReplace?: Replaceable;
  /** The artifact that the word beside the output says to be of this resource, where that hides its rows. */
  told?: string | undefined;
  /** Which share of a stage's work this process takes, where several share it; all of it when absent. */
  shard?: Shard;
}

/** Whether the stage only prepares another one, and so writes nothing to the output. */
export const prepares = ({ resource, stage }: StageJob): boolean =>
  declaredStage(resource.kind, stage).prepares === true;
