import { z } from 'zod';
import { badSpec, fingerprint, hashOfSpec, parseResource } from '../../api/index.ts';
import { type StageJob, stagesOf } from '../job.ts';
import type { PodSettings } from './pod-settings.ts';

const reference = z.object({
  uri: z.string().min(1),
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
  secretRef: z.object({ name: z.string().min(1) }).optional(),
});

const schema = z.object({
  stage: z.enum(['probe', 'assemble', 'tune', 'plug']),
  resource: z.looseObject({
    metadata: z.looseObject({ namespace: z.string().min(1), uid: z.string().min(1) }),
    spec: z.looseObject({}),
  }),
  emulator: reference.optional(),
  adapter: reference.optional(),
  shards: z.int().min(1).max(64).optional(),
  attempt: z.int().positive().optional(),
});

/** A pod's stage, and what makes its work itself: the same identity has the same result. */
export interface PodJob {
  job: StageJob;
  identity: string;
  /** What is reported is about this attempt. It makes no other work. */
  attempt: number | undefined;
}

/**
 * What OFFSITE_JOB asks for.
 * @throws OffsiteError BadSpec naming the field; never with what stands there
 */
export function parsePodJob(environment: NodeJS.ProcessEnv, settings: PodSettings): PodJob {
  const parsed = schema.safeParse(readJson(environment['OFFSITE_JOB']));
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
    throw badSpec(`OFFSITE_JOB: ${problems.join('; ')}`);
  }
  const { stage, emulator, adapter, shards, attempt, resource: written } = parsed.data;
  const resource = parseResource(written, 'OFFSITE_JOB');
  if (!stagesOf(resource.kind).includes(stage))
    throw badSpec(`OFFSITE_JOB: stage: ${resource.kind} has ${stagesOf(resource.kind).join(' and ')}`);
  const needed = { probe: [], assemble: [], tune: ['emulator'], plug: ['emulator', 'adapter'] } as const;
  for (const name of needed[stage])
    if (parsed.data[name] === undefined)
      throw badSpec(`OFFSITE_JOB: ${name}: is missing; stage ${stage} reads it`);

  const { claims, scratch } = settings;
  const job: StageJob = {
    stage,
    resource,
    mounts: { claims, confined: true, base: '/', scratch },
    ...(emulator && { emulator }),
    ...(adapter && { adapter }),
    ...(stage === 'probe' && { shard: shardOf(environment['JOB_COMPLETION_INDEX'], shards ?? 1) }),
  };
  const spec = hashOfSpec(resource.kind, written.metadata.uid, written.spec);
  const inputs = [emulator, adapter].map((input) => input && [input.uri, input.digest]);
  const identity = fingerprint({ stage, spec, inputs: inputs.map((input) => input ?? null) });
  return { job, identity, attempt };
}

function readJson(text: string | undefined): unknown {
  if (text === undefined) throw badSpec('OFFSITE_JOB: is not set; the operator sets it to the stage to run');
  try {
    return JSON.parse(text);
  } catch {
    // the parser's own message quotes the text
    throw badSpec('OFFSITE_JOB: is not valid JSON');
  }
}

/** Of an Indexed Job: its index, of as many pods. */
function shardOf(index: string | undefined, count: number): { index: number; count: number } {
  if (index === undefined && count === 1) return { index: 0, count };
  const number = index === undefined || !/^\d+$/.test(index) ? Number.NaN : Number(index);
  if (!(number < count))
    throw badSpec(`JOB_COMPLETION_INDEX: must be a number from 0 to ${count - 1} for ${count} shards`);
  return { index: number, count };
}
