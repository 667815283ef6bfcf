// Ownership of outputs: whose artifact lies there, and whether it may be replaced.
import { join } from 'node:path';
import { z } from 'zod';
import { badSpec, listOf } from '../../api/index.ts';
import {
  canonicalJson,
  clearBeside,
  listedIn,
  type Mirror,
  peekManifest,
  readKeptJson,
  realPlace,
  refuseOthers,
} from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf } from '../places.ts';
import { resultFileOf, writeResultFile } from './result-file.ts';

const field = 'spec.output.uri';

const ownerSchema = z.object({ kind: z.string(), namespace: z.string(), name: z.string() });

/** Whose an artifact is: its resource by name, so that one that was deleted and made again finds its own. */
export type Owner = z.output<typeof ownerSchema>;

export function ownerOf({ resource: { kind, metadata } }: StageJob): Owner {
  return { kind, namespace: metadata.namespace ?? 'default', name: metadata.name };
}

/** What an output's result file says of it; absent in those of earlier versions. */
const markSchema = z.object({
  owner: ownerSchema,
  /** What is being brought to the store just now, with what lay there before. */
  files: listOf(z.string()).optional(),
  result: z.object({ artifact: z.object({ digest: z.string() }).optional() }).optional(),
});

/** What lies at an output before anything is computed. */
export interface FoundOutput {
  /** Whether an artifact there may be replaced; otherwise it can only be this very work. */
  mayReplace: boolean;
  /** What may be removed there. */
  files: string[];
}

/**
 * Looks whether the output is free, this resource's own, or to be replaced.
 * @throws OffsiteError BadSpec where another resource's artifact or somebody's files lie there
 */
export async function examineOutput(job: StageJob, mirror: Mirror): Promise<FoundOutput> {
  const { output: spec } = job.resource.spec;
  const output = outputOf(job);
  const place = mirror.mirrors(output) ? spec.uri : output;
  const file = resultFileOf(output);
  await mirror.pull(file, { exact: true });
  const mark = readMark(file);
  const names = await mirror.namesAt(output);
  if (names.length === 0) return { mayReplace: true, files: [] };
  if (names.includes('')) throw badSpec(`${field}: ${place} is a file; an artifact is a directory`);
  const isOwn = mark !== undefined && canonicalJson(mark.owner) === canonicalJson(ownerOf(job));
  const isArtifact = names.includes('manifest.json');
  if (isArtifact) await mirror.pull(join(output, 'manifest.json'), { exact: true });
  const files = [...(isArtifact ? listedIn(output) : []), ...((isOwn && mark.files) || [])];
  refuseOthers(names, files, { place, field });
  const made = mark?.result?.artifact?.digest;
  const isMarked = mark !== undefined && (made === undefined || made === peekManifest(output)?.digest);
  if (isMarked && !isOwn && !spec.replace) {
    const { kind, namespace, name } = mark.owner;
    throw badSpec(
      `${field}: ${place} holds the artifact of ${kind} ${namespace}/${name}: choose another place, or write spec.output.replace: true to replace it`,
    );
  }
  return { mayReplace: !isArtifact || (isMarked && isOwn) || spec.replace === true, files };
}

/** Makes ready what lies beside an output in place: only who holds its lock may. */
export function tidyOutput(job: StageJob, mirror: Mirror): void {
  const output = outputOf(job);
  if (!mirror.mirrors(output)) clearBeside(realPlace(output, field));
}

/**
 * Says whose the output is from now on.
 * @param files what will come and go there, so that what a killed process leaves is known for ours
 */
export async function markOutput(job: StageJob, mirror: Mirror, files?: readonly string[]): Promise<void> {
  await writeResultFile(job, { owner: ownerOf(job), ...(files && { files }) }, mirror);
}

function readMark(file: string): z.output<typeof markSchema> | undefined {
  try {
    return markSchema.parse(readKeptJson(file));
  } catch {
    return undefined;
  }
}
