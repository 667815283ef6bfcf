// The mark of a resource's work place: what it made elsewhere has it beside it, and one of the same name in another cluster, or of
// another's `offsite run`, is told from it.
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Mirror, readKept, writeWhole } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { workOf } from '../places.ts';

const schema = z.object({ mark: z.string() });

const fileOf = (job: StageJob): string => join(workOf(job).own, 'mark.json');

/** The mark of the resource's own work place; undefined where it has none yet, or where that is not kept. */
export async function workMark(job: StageJob, mirror: Mirror): Promise<string | undefined> {
  if (!workOf(job).kept) return undefined;
  await mirror.pullDocument(fileOf(job));
  return readKept(schema, fileOf(job))?.mark;
}

/** The same, made where it has none: only who holds the lock of the output may. */
export async function madeWorkMark(job: StageJob, mirror: Mirror): Promise<string | undefined> {
  const found = await workMark(job, mirror);
  if (found !== undefined || !workOf(job).kept) return found;
  const mark = randomBytes(16).toString('hex');
  mkdirSync(workOf(job).own, { recursive: true });
  writeWhole(fileOf(job), JSON.stringify({ mark }));
  await mirror.push(fileOf(job), { exact: true });
  return mark;
}
