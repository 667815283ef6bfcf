// The form in which a kind says what it is: whoever deals with kinds reads it there, and none of them knows one by name.
import type { z } from 'zod';
import { resource } from '../resources.ts';
import type { ArtifactInput, Input, Unchecked } from './inputs.ts';

/** A column of `kubectl get`. */
export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  /** Above 0: only with `-o wide`. */
  readonly priority?: number;
  readonly description?: string;
}

/** Only with `-o wide`. */
export const wide = (name: string, jsonPath: string, type: Column['type'] = 'string'): Column => ({
  name,
  type,
  jsonPath,
  priority: 1,
});

export interface Stage<Name extends string, Spec> {
  readonly name: Name;
  /** Only fills the work place for the next one, which does its part too where nothing outlives a pod; else it makes the artifact. */
  readonly prepares?: boolean;
  /** How many pods share it by their index; a single one, without, when absent. */
  shards?(spec: Spec): number;
}

/** Everything that is true of a kind wherever it is spoken of. */
export interface Declaration<
  Kind extends string = string,
  StageName extends string = string,
  Spec = unknown,
  Status = unknown,
> {
  readonly kind: Kind;
  readonly names: { readonly plural: string; readonly singular: string; readonly short: string };
  readonly description: string;
  /** Who makes such resources: it has the rights to. */
  readonly party: 'modelOwner' | 'dataOwner';
  /** Its own, beside those that all kinds have. */
  readonly columns: readonly Column[];
  readonly spec: z.ZodType<Spec>;
  readonly status: z.ZodType<Status>;
  /** A manifest, for the reference. */
  readonly example: string;
  /** Fields of the spec, beside those of all kinds, that change no result. */
  readonly withoutResult?: readonly string[];
  /** In the order in which they run. */
  readonly stages: readonly Stage<StageName, Spec>[];
  /** What it costs that a pod dies whose work nothing outlives. */
  readonly unkept: string;
  /** Why a spec is refused where nothing outlives a pod; it is not when absent. */
  mustKeep?(spec: Spec): string | undefined;
  /** The artifacts of other resources that it is made from. The spec may be as it is stored. */
  references(spec: Unchecked): readonly ArtifactInput[];
  /** Everything that a stage reads, the references among it. */
  reads(stage: StageName, spec: Spec): readonly Input[];
  /** The status fields that the last stage's result may fill, beside `artifact`; and those that every whole result has. */
  readonly results: {
    readonly fields: readonly string[];
    readonly always: readonly string[];
    /** By path, what of a result its artifact's manifest or files say too: that alone may be told to whoever reads these. */
    shown(result: Readonly<Record<string, unknown>>): readonly string[];
    /** Whether a result, or what is shown of it, is of an artifact of which there may be one alone; of none when absent. */
    isOnce?(result: Readonly<Record<string, unknown>>): boolean;
  };
}

export const declare = <const Kind extends string, const StageName extends string, Spec, Status>(
  declaration: Declaration<Kind, StageName, Spec, Status>,
) => ({ ...declaration, schema: resource(declaration.kind, declaration.spec) });
