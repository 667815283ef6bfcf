/** What a stage of a resource touches: its places by size, and what that asks of a node. */
import {
  declaredStage,
  type Input,
  type Key,
  type Kind,
  keysOf,
  kinds,
  type Resource,
  readsOf,
  type StageName,
  stagesOf,
} from '../../src/api/index.ts';
import { claimOf } from './addresses.ts';

export type { StageName };

/** An artifact that another resource made, as a stage is to read it. */
export interface ReadArtifact {
  readonly uri: string;
  readonly digest: string;
}

/** The artifacts that a resource's references lead to, by role. */
export type Inputs = Readonly<Record<string, ResolvedInput>>;

export interface ResolvedInput extends ReadArtifact {
  /** The Secret that opens the address. */
  readonly secret?: string | undefined;
  readonly sizeBytes?: number | undefined;
}

/** A place that a stage reads from or writes to. */
export interface Place {
  readonly uri: string;
  readonly secret?: string | undefined;
  /** Its size, as far as that is known, or what is usual. */
  readonly bytes: number;
}

/** What one stage of one resource touches: its pods see this and nothing else. */
export interface StageWork {
  readonly stage: StageName;
  readonly reads: readonly Place[];
  readonly writes: readonly Place[];
  /** By which it signs what it makes, and checks who signed what it reads; none when absent. */
  readonly keys?: readonly Key[];
  /** What of its work has no place but the pod's own disk, in bytes. */
  readonly onOwnDisk?: number;
  /** Whether the computation fills its whole memory budget, whatever the model's size. */
  readonly fillsMemory: boolean;
  /** Pods that share the work; one, not indexed, when absent. */
  readonly shards?: number;
}

/** What only the operator knows of a kind. */
export interface Footprint {
  /** What its artifact takes where it lies, in bytes; as much as is usual when absent. */
  outputBytes?(spec: Resource['spec'], modelBytes: number): number;
  /** Whether its computation fills the whole memory budget, whatever the model's size. */
  readonly fillsMemory?: boolean;
}

/** A kind as its Jobs and their results are decided on. */
export interface KindRules<R extends Resource = Resource> {
  readonly kind: Kind;
  /** In the order in which they run. */
  readonly stages: readonly StageName[];
  /** The first that has a Job of its own: a later one where only that does the work of all before it. */
  begins(resource: R): StageName;
  /** The status fields that the last stage's result may fill, beside `artifact`. */
  readonly resultFields: readonly string[];
  /** Those of them that every whole result has. */
  readonly wholeResult: readonly string[];
  /** @param modelBytes the model's size, where the resource tells it */
  work(resource: R, stage: StageName, inputs: Inputs, modelBytes: number | undefined): StageWork;
}

export const rulesOf = (kind: Kind, footprint: Footprint): KindRules => ({
  kind,
  stages: stagesOf(kind),
  begins: beginsOf,
  resultFields: kinds[kind].results.fields,
  wholeResult: kinds[kind].results.always,
  work: (resource, stage, inputs, modelBytes) => workOf(resource, stage, { inputs, modelBytes, footprint }),
});

/** What is prepared on the pod's own disk reaches no other pod: the stage that it is for does it alone. */
function beginsOf({ kind, spec }: Resource): StageName {
  const keeps = keepsWork(spec);
  return kinds[kind].stages.find(({ prepares }) => keeps || !prepares)!.name;
}

interface WorkOptions {
  readonly inputs: Inputs;
  readonly modelBytes: number | undefined;
  readonly footprint: Footprint;
}

function workOf(
  resource: Resource,
  stage: StageName,
  { inputs, modelBytes = usual.model, footprint }: WorkOptions,
): StageWork {
  const { kind, spec } = resource;
  const { prepares, shards } = declaredStage(kind, stage);
  const { writes, ...disk } = workPlaces(spec);
  const reads = readsOf(resource, stage).flatMap((input) => readPlaces(input, inputs, modelBytes));
  const common = {
    stage,
    fillsMemory: footprint.fillsMemory ?? false,
    ...(shards && { shards: shards(spec) }),
  };
  if (!prepares) {
    const bytes = footprint.outputBytes?.(spec, modelBytes) ?? usual.artifact;
    const keys = keysOf(spec);
    return {
      ...common,
      reads,
      writes: [place(spec.output, bytes), ...writes],
      ...(keys.length > 0 && { keys }),
      ...disk,
    };
  }
  // It only looks whether the output is free, and writes there where that is also the work's claim.
  const output = place(spec.output, 0);
  return {
    ...common,
    reads: spec.work === undefined ? reads : [...reads, output],
    writes: spec.work === undefined ? [output] : writes,
  };
}

function readPlaces({ role, is, uri, secret }: Input, inputs: Inputs, modelBytes: number): Place[] {
  if (is !== 'artifact')
    return uri === undefined ? [] : [{ uri, secret, bytes: is === 'model' ? modelBytes : usual.data }];
  const input = inputs[role];
  return input === undefined
    ? []
    : [{ uri: input.uri, secret: input.secret, bytes: input.sizeBytes ?? usual.artifact }];
}

export const gigabyte = 2 ** 30;

/** What is taken for the size of things whose size nobody tells. */
export const usual = {
  model: 20 * gigabyte,
  artifact: 4 * gigabyte,
  data: gigabyte,
  work: 4 * gigabyte,
} as const;

interface SpecPlace {
  readonly uri: string;
  readonly secretRef?: { readonly name: string } | undefined;
}

const place = ({ uri, secretRef }: SpecPlace, bytes: number): Place => ({
  uri,
  secret: secretRef?.name,
  bytes,
});

/** Whether what is not the artifact outlives a pod: in `spec.work`, or hidden on the output's claim. */
const keepsWork = ({ work, output }: Resource['spec']): boolean =>
  work !== undefined || claimOf(output.uri) !== undefined;

/** Where a stage writes what is not the artifact; the output's claim is mounted in any case. */
const workPlaces = ({ work, output }: Resource['spec']): Pick<StageWork, 'writes' | 'onOwnDisk'> => ({
  writes: work === undefined ? [] : [place(work, usual.work)],
  ...(work === undefined && claimOf(output.uri) === undefined && { onOwnDisk: usual.work }),
});
