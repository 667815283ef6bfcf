// All kinds, and what is asked of them.
import type { z } from 'zod';
import type { Declaration, Stage } from './declare.ts';
import { emulatorBuild } from './emulator-build.ts';
import { type ArtifactInput, type Input, mapping } from './inputs.ts';
import { offsiteTune } from './offsite-tune.ts';
import { plugIn } from './plug-in.ts';

/** In the order in which they are made. */
const declared = { EmulatorBuild: emulatorBuild, OffsiteTune: offsiteTune, PlugIn: plugIn } as const;

type Declared = typeof declared;
export type Kind = keyof Declared;
export type StageName = Declared[Kind]['stages'][number]['name'];

/** The resources as parsed: checked, defaults applied. */
export type EmulatorBuild = z.output<Declared['EmulatorBuild']['schema']>;
export type OffsiteTune = z.output<Declared['OffsiteTune']['schema']>;
export type PlugIn = z.output<Declared['PlugIn']['schema']>;
export type Resource = z.output<Declared[Kind]['schema']>;
export type Status = z.output<Declared[Kind]['status']>;

type AnyStage = Stage<StageName, Resource['spec']>;

interface AnyKind extends Declaration<Kind, StageName, Resource['spec'], Status> {
  readonly schema: z.ZodType<Resource>;
}

export const kinds: Readonly<Record<Kind, AnyKind>> = declared;

/** An artifact of another resource in the same namespace, which is waited for. */
export interface Reference extends ArtifactInput {
  readonly kind: Kind;
  readonly name: string;
}

export const isKind = (kind: string): kind is Kind => Object.hasOwn(kinds, kind);

export const allKinds = (): Kind[] => Object.keys(kinds) as Kind[];

/** `EmulatorBuild, OffsiteTune or PlugIn`. */
export const kindsInWords = (): string =>
  allKinds()
    .join(', ')
    .replace(/, (?=\w+$)/, ' or ');

/** Of all kinds. */
export const stageNames = (): StageName[] => allKinds().flatMap(stagesOf);

/** Of a kind, in the order in which they run. */
export const stagesOf = (kind: Kind): StageName[] => kinds[kind].stages.map(({ name }) => name);

/** Whether this kind has such a stage; both may be anybody's words. */
export const isStageOf = (kind: string, stage: string): boolean =>
  isKind(kind) && stagesOf(kind).some((name) => name === stage);

/** @throws Error where the kind has no such stage */
export function declaredStage(kind: Kind, stage: StageName): AnyStage {
  const found = kinds[kind].stages.find(({ name }) => name === stage);
  if (found === undefined) throw new Error(`${kind} has no stage ${stage}`);
  return found;
}

/** The artifacts that a resource is made from; its spec may be wrong. */
export const artifactsOf = ({ kind, spec }: { kind: string; spec?: unknown }): readonly ArtifactInput[] =>
  isKind(kind) ? kinds[kind].references(mapping(spec)) : [];

/** Those of them that another resource makes and that are waited for. */
export const referencesOf = (resource: { kind: string; spec?: unknown }): Reference[] =>
  artifactsOf(resource).filter((input): input is Reference => input.name !== undefined);

/** Everything that a stage of a resource reads. */
export const readsOf = ({ kind, spec }: Resource, stage: StageName): readonly Input[] =>
  kinds[kind].reads(stage, spec);
