// That an output lies in no artifact: looked at before anything is written there, and before anything takes its place.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { OffsiteError } from '../../api/index.ts';
import { eachAtOnce, type Mirror, realPlace, refuseInside, StoreError } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf } from '../places.ts';

const field = 'spec.output.uri';

/** Of the prefixes that an output in a store lies in, so many are asked for a manifest, the nearest, and so many at a time. */
const mostPrefixes = 64;
const sideBySide = 8;

/**
 * An output inside an artifact would spoil it for all its readers. A store that does not let us read there says nothing.
 * @throws OffsiteError BadSpec naming the artifact
 */
export async function checkSurroundings(job: StageJob, mirror: Mirror): Promise<void> {
  const output = outputOf(job);
  if (!mirror.mirrors(output)) {
    refuseInside(realPlace(output, field), field);
    return;
  }
  const prefixes: string[] = [];
  for (let prefix = dirname(output); mirror.mirrors(prefix); prefix = dirname(prefix)) prefixes.push(prefix);
  const nearest = prefixes.slice(0, mostPrefixes);
  const manifests = nearest.map((prefix) => join(prefix, 'manifest.json'));
  try {
    await eachAtOnce(manifests, sideBySide, (file) => mirror.pullDocument(file).catch(unlessTold));
    refuseInside(output, field, nearest);
  } finally {
    // They are looked at only, and are no copies that anything is made from.
    for (const file of manifests) rmSync(file, { recursive: true, force: true });
  }
}

/** What a store does not give is no artifact that we could spoil, as far as anybody here can know. */
function unlessTold(error: unknown): void {
  if (!(error instanceof StoreError || error instanceof OffsiteError)) throw error;
}
