// What a resource says before it brings an artifact to a store: by it a later run knows what a push that did not end left there.
//
//   said in                      written by           what is left of the push: a file that it names, and
//   bringing.json (work place)   the resource alone   that has its mark, or lies there in the version that it saw
//   <output>.result.json         who may write there  that has its mark, or one of those that it saw
//
// Each of the two may be missing (no work place is kept, another spec names other places), so both are looked at.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { listOf } from '../../api/index.ts';
import { clearAt, eachAtOnce, type Mirror, readKept, type Seen, writeWhole } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';

/** What is being brought to an output in a store. */
export interface Bringing {
  /** What will come and go there, by their names. */
  files: readonly string[];
  /** The mark of what comes up. */
  writer: string;
  /** What lies there before. */
  seen: Seen;
}

/** The same beside the artifact. */
export interface BringingBeside extends Pick<Bringing, 'files' | 'writer'> {
  /** The marks of what lies there before. */
  earlier: readonly string[];
}

/** As much of it as is said there. */
export type SaidBeside = { [Part in keyof BringingBeside]?: BringingBeside[Part] | undefined };

/** A word of an earlier version, which has names alone, is none. */
const bringingSchema = z.object({
  output: z.string(),
  files: listOf(z.string()),
  writer: z.string(),
  seen: listOf(z.tuple([z.string(), z.string()])),
});

/** In the resource's own directory, to which nobody else writes. */
const bringingFileOf = (job: StageJob): string => join(workOf(job).own, 'bringing.json');

/** What this resource was bringing to its output and did not end, with what lay there before, in the words of its work place. */
async function bringing(job: StageJob, mirror: Mirror): Promise<z.output<typeof bringingSchema> | undefined> {
  const file = bringingFileOf(job);
  await mirror.pullDocument(file);
  const kept = readKept(bringingSchema, file);
  return kept?.output === job.resource.spec.output.uri ? kept : undefined;
}

/** Says what will come and go at an output in a store. */
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

/** All of it is there: what lies there from now on is ours only where its manifest says so. */
export async function forgetBringing(job: StageJob, mirror: Mirror): Promise<void> {
  const file = bringingFileOf(job);
  clearAt(file);
  await mirror.push(file, { exact: true });
}

/**
 * What this resource left at its output in a store when a push did not end, since it was killed or since somebody's file came.
 * @param beside the word beside the artifact, where it is this resource's
 */
export async function leftOf(
  job: StageJob,
  mirror: Mirror,
  there: Seen,
  beside: SaidBeside = {},
): Promise<string[]> {
  if (!mirror.mirrors(outputOf(job))) return [];
  const kept = await bringing(job, mirror);
  const seen = new Map(kept?.seen);
  const words = [
    { files: new Set(kept?.files), marks: [kept?.writer] },
    { files: new Set(beside.files), marks: [beside.writer, ...(beside.earlier ?? [])] },
  ];
  const left: string[] = [];
  await eachAtOnce([...there], 8, async ([name, version]) => {
    const marks = words.flatMap((word) => (word.files.has(name) ? word.marks : []));
    if (seen.get(name) !== version) {
      const mark = marks.length === 0 ? undefined : await markOf(job, mirror, name, version);
      if (mark === undefined || !marks.includes(mark)) return;
    }
    left.push(name);
  });
  return left;
}

/** By which pushes what was seen at an output in a store came there, where that is known: each once. */
export async function marksOf(job: StageJob, mirror: Mirror, seen: Seen): Promise<string[]> {
  const marks = new Set<string>();
  await eachAtOnce([...seen], 8, async ([name, version]) => {
    const mark = await markOf(job, mirror, name, version);
    if (mark !== undefined) marks.add(mark);
  });
  return [...marks];
}

/** That of a file which still is what was seen: another that came since is somebody else's, whatever its mark. */
async function markOf(
  job: StageJob,
  mirror: Mirror,
  name: string,
  version: string,
): Promise<string | undefined> {
  const written = await mirror.written(join(outputOf(job), name));
  return written?.version === version ? written.writer : undefined;
}
