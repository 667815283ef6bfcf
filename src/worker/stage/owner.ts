// Ownership of outputs: whose artifact lies there, and whether it may be replaced.
import { lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badSpec, listOf } from '../../api/index.ts';
import {
  canonicalJson,
  clearBeside,
  filesIn,
  listedIn,
  type Mirror,
  peekManifest,
  type Replaceable,
  readKept,
  realPlace,
  refuseOthers,
  writeWhole,
} from '../../artifact/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
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
  /** Which artifact there may be replaced; another can only be this very work. */
  mayReplace: Replaceable;
  /** By what the store tells the manifest that lies there from any other; undefined where none lies there, or all lies in place. */
  version: string | undefined;
  /** What may be removed there: by the manifest that lies there, and in the words of this resource's own work place. */
  removable: string[];
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
  await mirror.pullDocument(file);
  checkResultFile(file, mirror.mirrors(output) ? `${spec.uri}.result.json` : file);
  const mark = readKept(markSchema, file);
  const names = await mirror.namesAt(output);
  if (!names.includes('manifest.json')) clearCopy(job, mirror, []);
  const version = await mirror.versionAt(join(output, 'manifest.json'));
  const replaces = spec.replace === true;
  if (names.length === 0) return { mayReplace: replaces, version, removable: [] };
  if (names.includes('')) throw badSpec(`${field}: ${place} is a file; an artifact is a directory`);
  const isOwn = mark !== undefined && canonicalJson(mark.owner) === canonicalJson(ownerOf(job));
  const isArtifact = names.includes('manifest.json');
  if (isArtifact) await mirror.pullDocument(join(output, 'manifest.json'));
  const listed = isArtifact ? listedIn(output) : [];
  if (isArtifact) clearCopy(job, mirror, listed);
  const removable = [...listed, ...(await bringing(job, mirror))];
  // Who may write beside the artifact can say what they like there: nothing is removed for it.
  refuseOthers(names, [...removable, ...((isOwn && mark.files) || [])], { place, field });
  const made = mark?.result?.artifact?.digest;
  const isMarked = mark !== undefined && (made === undefined || made === peekManifest(output)?.digest);
  if (isMarked && !isOwn && !spec.replace) {
    const { kind, namespace, name } = mark.owner;
    throw badSpec(
      `${field}: ${place} holds the artifact of ${kind} ${namespace}/${name}: choose another place, or write spec.output.replace: true to replace it`,
    );
  }
  const own = isMarked && isOwn ? peekManifest(output)?.digest : undefined;
  return { mayReplace: replaces || (own ?? false), version, removable };
}

/** What a result file has of ours; one of an earlier version names no owner. */
const resultFileSchema = z.union([
  z.looseObject({ owner: ownerSchema }),
  z.looseObject({ stage: z.string(), result: z.looseObject({}) }),
]);

/** The result is written beside the artifact: what somebody else has there is not lost for it. */
function checkResultFile(file: string, place: string): void {
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined || (stat.isFile() && (stat.size === 0 || readKept(resultFileSchema, file)))) return;
  throw badSpec(
    `${field}: ${place} is there and is no result of ours; the result is written there: move that away, or choose another place`,
  );
}

/** Makes ready what lies beside an output in place: only who holds its lock may. */
export function tidyOutput(job: StageJob, mirror: Mirror): void {
  const output = outputOf(job);
  if (!mirror.mirrors(output)) clearBeside(realPlace(output, field));
}

/** Of what lies at an output in a store only the manifest is here: the rest comes where the work is found to be its own. */
function clearCopy(job: StageJob, mirror: Mirror, listed: readonly string[]): void {
  const output = outputOf(job);
  if (prepares(job) || !mirror.mirrors(output)) return;
  const stat = statSync(output, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory() || listed.length === 0) {
    rmSync(output, { recursive: true, force: true });
    return;
  }
  const wanted = new Set(listed);
  for (const path of filesIn(output)) if (!wanted.has(path)) rmSync(join(output, path));
}

/**
 * Says whose the output is from now on.
 * @param files what will come and go there, so that the next pod knows what a killed one leaves, where its work was not kept
 */
export async function markOutput(job: StageJob, mirror: Mirror, files?: readonly string[]): Promise<void> {
  await writeResultFile(job, { owner: ownerOf(job), ...(files && { files }) }, mirror);
}

const bringingSchema = z.object({ output: z.string(), files: listOf(z.string()) });

/** In the resource's own directory, to which nobody else writes: for no other word are files in a store removed. */
const bringingFileOf = (job: StageJob): string => join(workOf(job).own, 'bringing.json');

/** What this resource was bringing to its output when it was cut off, with what lay there before. */
async function bringing(job: StageJob, mirror: Mirror): Promise<string[]> {
  if (prepares(job) || !mirror.mirrors(outputOf(job))) return [];
  const file = bringingFileOf(job);
  await mirror.pullDocument(file);
  const kept = readKept(bringingSchema, file);
  return kept?.output === job.resource.spec.output.uri ? [...kept.files] : [];
}

/**
 * Says what will come and go at an output in a store, so that what a killed process leaves there is known for ours.
 * @param files by their names there
 */
export async function keepBringing(job: StageJob, mirror: Mirror, files: readonly string[]): Promise<void> {
  const file = bringingFileOf(job);
  mkdirSync(workOf(job).own, { recursive: true });
  writeWhole(file, JSON.stringify({ output: job.resource.spec.output.uri, files }));
  await mirror.push(file, { exact: true });
}
