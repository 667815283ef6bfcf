// Results: whole in the work place, so that finished work is not done again, and beside the artifact what its readers may know.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { kinds } from '../../api/index.ts';
import {
  canonicalJson,
  type Mirror,
  peekManifest,
  readKept,
  writeWhole,
  writeWholeAmongOthers,
} from '../../artifact/index.ts';
import type { StageEvent } from '../../progress/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';

type Result = Extract<StageEvent, { type: 'result' }>;

const schema = z.object({
  identity: z.string(),
  stage: z.string(),
  result: z.looseObject({ artifact: z.object({ digest: z.string() }).loose().optional() }),
});

/** `<output>.result.json`: what the artifact's readers may know of the result, beside the artifact and never in it. */
export const resultFileOf = (output: string): string => `${output}.result.json`;

/** The whole result, where only the resource's owner reads. */
const wholeResultOf = (job: StageJob): string => join(workOf(job).own, 'result.json');

/** Writes the file beside the artifact, whole or not at all. */
export async function writeResultFile(job: StageJob, content: object, mirror: Mirror): Promise<void> {
  const file = resultFileOf(outputOf(job));
  mkdirSync(dirname(file), { recursive: true });
  writeWholeAmongOthers(file, canonicalJson(content));
  await mirror.push(file, { exact: true });
}

/**
 * Writes a stage's result where its work lies and beside its artifact, each whole or not at all.
 * @param identity absent where results are not looked for by it: the inputs may have changed
 */
export async function keepResult(
  job: StageJob,
  { stage, result }: Result,
  { identity, owner, mirror }: { identity: string | undefined; owner: object; mirror: Mirror },
): Promise<void> {
  if (identity !== undefined) {
    const file = wholeResultOf(job);
    mkdirSync(dirname(file), { recursive: true });
    writeWhole(file, canonicalJson({ identity, stage, result }));
    await mirror.push(file, { exact: true });
  }
  const shown = shownOf(job, result as Record<string, unknown>);
  await writeResultFile(job, { owner, stage, result: shown }, mirror);
}

/** What may be told of a result: its artifact, and what its kind says that the artifact says too. */
function shownOf({ resource: { kind } }: StageJob, result: Record<string, unknown>): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const path of ['artifact', ...kinds[kind].results.shown(result)])
    copyAt(path.split('.'), result, shown);
  return shown;
}

/** Copies the value at a path, where there is one. */
function copyAt([name, ...rest]: string[], from: Record<string, unknown>, to: Record<string, unknown>): void {
  const value = name === undefined ? undefined : from[name];
  if (name === undefined || value === undefined) return;
  if (rest.length === 0) {
    to[name] = value;
    return;
  }
  to[name] ??= {};
  copyAt(rest, value as Record<string, unknown>, to[name] as Record<string, unknown>);
}

/**
 * The result of this very work, where this resource has done it before and its artifact is still there. Only what lies where
 * its work does is believed: who may write beside the artifact could have changed both.
 */
export async function findResult(
  job: StageJob,
  identity: string,
  mirror: Mirror,
): Promise<Result | undefined> {
  // Pooled states lie elsewhere and are found by the stage itself.
  if (prepares(job)) return undefined;
  const file = wholeResultOf(job);
  await mirror.pullDocument(file);
  const kept = readKept(schema, file);
  if (kept?.identity !== identity || kept.stage !== job.stage) return undefined;
  const { stage, result } = kept;
  if (result.artifact !== undefined) {
    const output = outputOf(job);
    await mirror.pullDocument(join(output, 'manifest.json'));
    if (digestAt(output) !== result.artifact.digest) return undefined;
  }
  return { type: 'result', stage, result };
}

function digestAt(output: string): string | undefined {
  try {
    return peekManifest(output)?.digest;
  } catch {
    return undefined;
  }
}
