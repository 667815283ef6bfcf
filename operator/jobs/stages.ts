import type { ArtifactSource, Kind, Resource, StageName } from '../../src/api/index.ts';
import { claimOf } from './addresses.ts';

export type { StageName };

/** An artifact that another resource made, as a stage is to read it. */
export interface Input {
  readonly uri: string;
  readonly digest: string;
}

/** The artifacts that a resource's references lead to. */
export type Inputs = Readonly<Partial<Record<'emulator' | 'adapter', ResolvedInput>>>;

export interface ResolvedInput extends Input {
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
  /** What of its work has no place but the pod's own disk, in bytes. */
  readonly onOwnDisk?: number;
  /** Whether the computation fills its whole memory budget, whatever the model's size. */
  readonly fillsMemory: boolean;
  /** Pods that share the work; one, not indexed, when absent. */
  readonly shards?: number;
}

/** An artifact of another resource in the same namespace, which is waited for. */
export interface Reference {
  readonly field: string;
  readonly input: keyof Inputs;
  readonly kind: Kind;
  readonly name: string;
  /** Overrides the Secret by which the other resource wrote it. */
  readonly secret?: string | undefined;
}

/** What sets one kind apart from the others. */
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
  references(resource: R): readonly Reference[];
  /** Artifacts given by address and digest. */
  given(resource: R): Inputs;
  /** @param modelBytes the model's size, where the resource tells it */
  work(resource: R, stage: StageName, inputs: Inputs, modelBytes: number | undefined): StageWork;
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

export const place = ({ uri, secretRef }: SpecPlace, bytes: number): Place => ({
  uri,
  secret: secretRef?.name,
  bytes,
});

/** Whether what is not the artifact outlives a pod: in `spec.work`, or hidden on the output's claim. */
export const keepsWork = ({ work, output }: Resource['spec']): boolean =>
  work !== undefined || claimOf(output.uri) !== undefined;

/** Where a stage writes what is not the artifact; the output's claim is mounted in any case. */
export const workPlaces = ({ work, output }: Resource['spec']): Pick<StageWork, 'writes' | 'onOwnDisk'> => ({
  writes: work === undefined ? [] : [place(work, usual.work)],
  ...(work === undefined && claimOf(output.uri) === undefined && { onOwnDisk: usual.work }),
});

export const inputPlaces = (inputs: Inputs): Place[] =>
  Object.values(inputs).map(({ uri, secret, sizeBytes }) => ({
    uri,
    secret,
    bytes: sizeBytes ?? usual.artifact,
  }));

/** The reference of `spec.emulator` or `spec.adapter`, if it is one. */
export const referenceTo = (
  kind: Kind,
  input: keyof Inputs,
  { ref, secretRef }: ArtifactSource,
): Reference[] =>
  ref === undefined
    ? []
    : [{ field: `spec.${input}.ref`, input, kind, name: ref.name, secret: secretRef?.name }];

/** The artifact of `spec.emulator` or `spec.adapter`, if it is given by address and digest. */
export const givenArtifact = (input: keyof Inputs, { uri, digest, secretRef }: ArtifactSource): Inputs =>
  uri === undefined || digest === undefined ? {} : { [input]: { uri, digest, secret: secretRef?.name } };
