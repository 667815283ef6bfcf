import { type Resource, type StageName, stagesOf } from '../api/index.ts';
import type { Mounts } from '../artifact/index.ts';

export { type StageName, stagesOf };

/** An artifact that another resource made: where it lies, the digest that it must have, and the Secret that opens the store. */
export interface ArtifactReference {
  uri: string;
  digest?: string | undefined;
  secretRef?: { name: string } | undefined;
}

/** All that one stage of one resource needs: references are resolved, nothing points into a cluster. */
export interface StageJob {
  stage: StageName;
  resource: Resource;
  mounts: Mounts;
  emulator?: ArtifactReference;
  adapter?: ArtifactReference;
  /** Whether an artifact at the output may be replaced, as far as is known: one that may not can only be this very work. */
  mayReplace?: boolean;
  /** Which share of the probe's batches this process takes; all of them when absent. */
  shard?: { index: number; count: number };
}
