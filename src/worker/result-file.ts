import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { canonicalJson, type Mirror, peekManifest, writeWhole } from '../artifact/index.ts';
import type { StageEvent } from '../progress/index.ts';
import type { StageJob } from './job.ts';
import { outputOf } from './places.ts';

type Result = Extract<StageEvent, { type: 'result' }>;

const schema = z.object({
  identity: z.string(),
  stage: z.string(),
  result: z.looseObject({ artifact: z.object({ digest: z.string() }).loose().optional() }),
});

/** `<output>.result.json`: the whole result, beside the artifact and never in it. */
export const resultFileOf = (output: string): string => `${output}.result.json`;

/** Writes a stage's result beside its artifact, whole or not at all. */
export async function keepResult(
  job: StageJob,
  identity: string,
  { stage, result }: Result,
  mirror: Mirror,
): Promise<void> {
  const file = resultFileOf(outputOf(job));
  mkdirSync(dirname(file), { recursive: true });
  writeWhole(file, canonicalJson({ identity, stage, result }));
  await mirror.push(file, { exact: true });
}

/** The result of this very work, where it was done before and its artifact is still there. */
export async function findResult(
  job: StageJob,
  identity: string,
  mirror: Mirror,
): Promise<Result | undefined> {
  // Probes lie beside the output and are found by the stage itself.
  if (job.stage === 'probe') return undefined;
  const output = outputOf(job);
  const file = resultFileOf(output);
  await mirror.pull(file, { exact: true });
  const kept = read(file);
  if (kept === undefined || kept.identity !== identity || kept.stage !== job.stage) return undefined;
  const { artifact } = kept.result;
  if (artifact !== undefined) {
    await mirror.pull(join(output, 'manifest.json'), { exact: true });
    if (digestAt(output) !== artifact.digest) return undefined;
  }
  return { type: 'result', stage: kept.stage, result: kept.result };
}

function read(file: string): z.output<typeof schema> | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

function digestAt(output: string): string | undefined {
  try {
    return peekManifest(output)?.digest;
  } catch {
    return undefined;
  }
}
