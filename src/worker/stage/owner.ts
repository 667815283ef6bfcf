// Ownership of outputs: whose artifact lies there, and whether it may be replaced.
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badSpec, listOf } from '../../api/index.ts';
import {
  canonicalJson,
  clearAt,
  clearBeside,
  eachAtOnce,
  filesIn,
  listedIn,
  type Mirror,
  peekManifest,
  type Replaceable,
  readKept,
  realPlace,
  refuseOthers,
  type Seen,
  writeWhole,
} from '../../artifact/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
import { type Owner, ResultFile } from './result-file.ts';

const field = 'spec.output.uri';

export function ownerOf({ resource: { kind, metadata } }: StageJob): Owner {
  return { kind, namespace: metadata.namespace ?? 'default', name: metadata.name };
}

/** What lies at an output before anything is computed. */
export interface FoundOutput {
  /** Which artifact there may be replaced; another can only be this very work. */
  mayReplace: Replaceable;
  /** The digest of the artifact that lies there; and the same where it is this resource's. */
  digest: string | undefined;
  own: string | undefined;
  /** What lies there: what comes later is nobody's that this resource knows. */
  there: Seen;
  /** What may be removed there: by the manifest that lies there, and what a killed process of this resource left of what it brought. */
  removable: string[];
  /** What lies beside it, and will say whose it is. */
  beside: ResultFile;
}

/**
 * Looks whether the output is free, this resource's own, or to be replaced.
 * @throws OffsiteError BadSpec where another resource's artifact or somebody's files lie there
 */
export async function examineOutput(job: StageJob, mirror: Mirror): Promise<FoundOutput> {
  const { output: spec } = job.resource.spec;
  const output = outputOf(job);
  const place = mirror.mirrors(output) ? spec.uri : output;
  const beside = await ResultFile.look(job, mirror);
  const mark = beside.mark();
  const there = await mirror.look(output);
  const names = [...there.keys()];
  if (!names.includes('manifest.json')) clearCopy(job, mirror, []);
  const replaces = spec.replace === true;
  if (names.length === 0)
    return { mayReplace: replaces, digest: undefined, own: undefined, there, removable: [], beside };
  if (names.includes('')) throw badSpec(`${field}: ${place} is a file; an artifact is a directory`);
  const isOwn = mark !== undefined && canonicalJson(mark.owner) === canonicalJson(ownerOf(job));
  const isArtifact = names.includes('manifest.json');
  if (isArtifact) await mirror.pullDocument(join(output, 'manifest.json'));
  const listed = isArtifact ? listedIn(output) : [];
  if (isArtifact) clearCopy(job, mirror, listed);
  const said = isOwn ? mark : undefined;
  const { left, isTold } = await leftOf(job, mirror, there, said);
  const removable = [...listed, ...left];
  // Where the work place says nothing, what is only named beside the artifact may be written over, and is not removed.
  const named = isTold ? [] : (said?.files ?? []);
  refuseOthers(names, [...removable, ...named], { place, field });
  const digest = peekManifest(output)?.digest;
  const made = [...(mark?.digests ?? []), mark?.result?.artifact?.digest].filter((one) => one !== undefined);
  // A word without a digest, as earlier versions left it, may be of what lies there: it makes nobody its owner.
  if (mark !== undefined && !isOwn && (made.length === 0 || made.includes(digest ?? '')) && !spec.replace) {
    const { kind, namespace, name } = mark.owner;
    throw badSpec(
      `${field}: ${place} holds the artifact of ${kind} ${namespace}/${name}: choose another place, or write spec.output.replace: true to replace it`,
    );
  }
  const own = isOwn && made.includes(digest ?? '') ? digest : undefined;
  return { mayReplace: replaces || (own ?? false), digest, own, there, removable, beside };
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
    clearAt(output);
    return;
  }
  const wanted = new Set(listed);
  for (const path of filesIn(output)) if (!wanted.has(path)) clearAt(join(output, path));
}

/**
 * Says whose the output is from now on, before anything takes its place: the artifact of this digest, and what was this
 * resource's before. Whatever else the next pod finds there is somebody else's.
 * @param brought what will come and go there, so that the next pod knows what a killed one leaves, where its work was not kept
 * @throws OffsiteError BadSpec where something came to the result's name
 */
export async function markOutput(
  job: StageJob,
  { beside, own }: FoundOutput,
  digest: string,
  brought?: Pick<Bringing, 'files' | 'writer'>,
): Promise<void> {
  const digests = own === undefined ? [digest] : [digest, own];
  await beside.write({ owner: ownerOf(job), digests, ...brought });
}

/** What is being brought to an output in a store. */
export interface Bringing {
  /** What will come and go there, by their names. */
  files: readonly string[];
  /** The mark of what comes up. */
  writer: string;
  /** What lies there before. */
  seen: Seen;
}

/** Of a word of an earlier version the names count alone. */
const bringingSchema = z.object({
  output: z.string(),
  files: listOf(z.string()),
  writer: z.string().optional(),
  seen: listOf(z.tuple([z.string(), z.string()])).optional(),
});

/** In the resource's own directory, to which nobody else writes. */
const bringingFileOf = (job: StageJob): string => join(workOf(job).own, 'bringing.json');

/** What this resource was bringing to its output when it was cut off, with what lay there before, in the words of its work place. */
async function bringing(job: StageJob, mirror: Mirror): Promise<z.output<typeof bringingSchema> | undefined> {
  if (prepares(job) || !mirror.mirrors(outputOf(job))) return undefined;
  const file = bringingFileOf(job);
  await mirror.pullDocument(file);
  const kept = readKept(bringingSchema, file);
  return kept?.output === job.resource.spec.output.uri ? kept : undefined;
}

/**
 * What a killed process of this resource left at its output: what has the mark of what it brought, or the version in which it
 * was seen there before. Anybody else's file of such a name is none of it.
 * @param beside the word beside the artifact, where it is this resource's
 * @returns those files, and whether the work place tells of which they are
 */
async function leftOf(
  job: StageJob,
  mirror: Mirror,
  there: Seen,
  beside: { files?: readonly string[] | undefined; writer?: string | undefined } | undefined,
): Promise<{ left: string[]; isTold: boolean }> {
  const output = outputOf(job);
  if (!mirror.mirrors(output)) return { left: [], isTold: false };
  const kept = await bringing(job, mirror);
  const seen = new Map(kept?.seen);
  const [inWork, atOutput] = [new Set(kept?.files), new Set(beside?.files)];
  const left: string[] = [];
  await eachAtOnce([...there], 8, async ([name, version]) => {
    const isKnown = inWork.has(name) && (kept?.writer === undefined || seen.get(name) === version);
    if (!isKnown) {
      const words = [inWork.has(name) && kept?.writer, atOutput.has(name) && beside?.writer].filter(Boolean);
      if (words.length === 0 || !words.includes(await mirror.writerOf(join(output, name)))) return;
    }
    left.push(name);
  });
  return { left, isTold: kept?.writer !== undefined };
}

/** Says what will come and go at an output in a store, so that what a killed process leaves there is known for ours. */
export async function keepBringing(
  job: StageJob,
  mirror: Mirror,
  { files, writer, seen }: Bringing,
): Promise<void> {
  const file = bringingFileOf(job);
  mkdirSync(workOf(job).own, { recursive: true });
  const { uri: output } = job.resource.spec.output;
  writeWhole(file, JSON.stringify({ output, files, writer, seen: [...seen] }));
  await mirror.push(file, { exact: true });
}

/** Nothing is under way any more: what comes there from now on is ours only where its manifest says so. */
export async function forgetBringing(job: StageJob, mirror: Mirror): Promise<void> {
  const file = bringingFileOf(job);
  clearAt(file);
  await mirror.push(file, { exact: true });
}
