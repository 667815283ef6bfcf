// The mark of a resource's work place: what is made there has it beside it, and so one of the same name in another cluster, or of
// another's `offsite run`, is told from it.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { digestsMade, type Mirror, readKept, writeWhole } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { workOf } from '../places.ts';

/** What a work place that is kept tells of its resource. */
export interface KnownWork {
  /** Undefined where it has none yet. */
  readonly mark: string | undefined;
  /** Of the artifacts that were made there, as far as they are remembered. */
  readonly digests: readonly string[];
}

const schema = z.object({ mark: z.string() });

const fileOf = (job: StageJob): string => join(workOf(job).own, 'mark.json');

/** Nothing where the work place is not kept. */
export async function knownWork(job: StageJob, mirror: Mirror): Promise<KnownWork> {
  const { own, kept } = workOf(job);
  if (!kept) return { mark: undefined, digests: [] };
  return { mark: await markIn(job, mirror), digests: await digestsMade(own, mirror) };
}

async function markIn(job: StageJob, mirror: Mirror): Promise<string | undefined> {
  await mirror.pullDocument(fileOf(job));
  return readKept(schema, fileOf(job))?.mark;
}

/** The mark of a work place that is kept, made where it has none: only who holds the lock of the output may. */
export async function madeWorkMark(job: StageJob, mirror: Mirror): Promise<string> {
  const found = await markIn(job, mirror);
  if (found !== undefined) return found;
  const mark = randomBytes(16).toString('hex');
  mkdirSync(workOf(job).own, { recursive: true });
  writeWhole(fileOf(job), JSON.stringify({ mark }));
  await mirror.push(fileOf(job), { exact: true });
  return mark;
}
