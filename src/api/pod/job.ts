// The stage that a pod is to run: as the operator writes it, and as the worker reads it.
import { z } from 'zod';
import { badSpec } from '../errors.ts';
import {
  isKind,
  isStageOf,
  kinds,
  type Resource,
  readsOf,
  type StageName,
  stageNames,
  stagesOf,
} from '../kinds/index.ts';
import { mapping } from '../kinds/inputs.ts';
import { parseResource } from '../parse.ts';
import { variables } from './environment.ts';

/** An artifact of another resource: where it lies, the digest that it must have, and the Secret that opens its store. */
export interface ArtifactReference {
  readonly uri: string;
  readonly digest?: string | undefined;
  readonly secretRef?: { readonly name: string } | undefined;
}

/** As it is stored: any of it may be wrong. */
interface Stored {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
    readonly generation?: number | undefined;
  };
  readonly spec?: unknown;
}

export interface PodJob<R> {
  readonly stage: StageName;
  readonly attempt: number | undefined;
  readonly resource: R;
  /** By role: the artifacts that the resource's references lead to. */
  readonly inputs: Readonly<Record<string, ArtifactReference>>;
  /** How many pods share it. */
  readonly shards: number | undefined;
}

/** The resource goes without its template; references are resolved. */
export function writePodJob({ stage, attempt, resource, inputs, shards }: PodJob<Stored>): string {
  const { apiVersion, kind, metadata, spec } = resource;
  const { name, namespace, uid, generation } = metadata;
  const { template: _, ...rest } = mapping(spec);
  return JSON.stringify({
    stage,
    attempt,
    resource: { apiVersion, kind, metadata: { name, namespace, uid, generation }, spec: rest },
    ...inputs,
    ...(shards !== undefined && { shards }),
  });
}

/** The resource in what writePodJob() wrote; undefined where nothing such stands there. */
export function resourceIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { resource?: unknown } | null)?.resource;
  } catch {
    return undefined;
  }
}

const input = z.object({
  uri: z.string().min(1),
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
  secretRef: z.object({ name: z.string().min(1) }).optional(),
});

const schemaFor = (roles: readonly string[]) =>
  z.object({
    stage: z.enum(stageNames()),
    resource: z.looseObject({
      metadata: z.looseObject({ namespace: z.string().min(1), uid: z.string().min(1) }),
      spec: z.looseObject({}),
    }),
    ...Object.fromEntries(roles.map((role) => [role, input.optional()])),
    shards: z.int().min(1).max(64).optional(),
    attempt: z.int().positive().optional(),
  });

export interface ReadJob extends PodJob<Resource> {
  /** What its result is known by: uid and spec as they were written. */
  readonly written: { readonly uid: string; readonly spec: object };
}

/**
 * What a worker is asked for.
 * @throws OffsiteError BadSpec naming the field; never with what stands there
 */
export function readPodJob(text: string | undefined): ReadJob {
  const value = readJson(text);
  const stored = mapping(mapping(value)['resource']);
  const roles = rolesOf(stored);
  const parsed = schemaFor(roles).safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
    throw badSpec(`${variables.job}: ${problems.join('; ')}`);
  }
  const { stage, shards, attempt, resource: written, ...rest } = parsed.data;
  const resource = parseResource(written, variables.job);
  if (!isStageOf(resource.kind, stage))
    throw badSpec(`${variables.job}: stage: ${resource.kind} has ${stagesOf(resource.kind).join(' and ')}`);
  const inputs = Object.fromEntries(
    Object.entries(rest as Record<string, ArtifactReference | undefined>).flatMap(([role, found]) =>
      found === undefined ? [] : [[role, found]],
    ),
  );
  for (const { is, role } of readsOf(resource, stage))
    if (is === 'artifact' && inputs[role] === undefined)
      throw badSpec(`${variables.job}: ${role}: is missing; stage ${stage} reads it`);
  return {
    stage,
    attempt,
    resource,
    inputs,
    shards,
    written: { uid: written.metadata.uid, spec: written.spec },
  };
}

/** Those of the artifacts that it refers to. */
function rolesOf({ kind, spec }: Readonly<Record<string, unknown>>): string[] {
  if (typeof kind !== 'string' || !isKind(kind)) return [];
  return kinds[kind].references(mapping(spec)).map(({ role }) => role);
}

function readJson(text: string | undefined): unknown {
  if (text === undefined)
    throw badSpec(`${variables.job}: is not set; the operator sets it to the stage to run`);
  try {
    return JSON.parse(text);
  } catch {
    // the parser's own message quotes the text
    throw badSpec(`${variables.job}: is not valid JSON`);
  }
}

/** A share of a stage's work, counted from 0. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/**
 * Which share of a stage this pod takes.
 * @param index of an Indexed Job, as Kubernetes says it
 * @throws OffsiteError BadSpec
 */
export function shardOf(index: string | undefined, count: number): Shard {
  if (index === undefined && count === 1) return { index: 0, count };
  const number = index === undefined || !/^\d+$/.test(index) ? Number.NaN : Number(index);
  if (!(number < count))
    throw badSpec(`${variables.shard}: must be a number from 0 to ${count - 1} for ${count} shards`);
  return { index: number, count };
}
