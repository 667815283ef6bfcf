// Ownership of outputs: whose artifact lies there, and whether it may be replaced.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec, kinds } from '../../api/index.ts';
import {
  clearAt,
  clearBeside,
  digestsMadeOnce,
  filesIn,
  listedIn,
  type Mirror,
  type Replaceable,
  realPlace,
  type Seen,
} from '../../artifact/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
import type { BringingBeside } from './bringing.ts';
import { type GivingWay, givingWay } from './giving-way.ts';
import { digestsIn, ResultFile } from './result-file.ts';

const field = 'spec.output.uri';

/** What lies at an output before anything is computed. */
export interface FoundOutput extends GivingWay {
  /** Which artifact there may be replaced; another can only be this very work. */
  mayReplace: Replaceable;
  /** The digest of the artifact that lies there, where it is this resource's. */
  own: string | undefined;
  /** The digest that is said to be of this name, of an artifact that hides its rows as far as is told, be it here or not. */
  told: string | undefined;
  /** What lies beside it, and will say whose it is. */
  beside: ResultFile;
}

/**
 * Looks whether the output is free, this resource's own, or to be replaced.
 * @throws OffsiteError BadSpec where another resource's artifact or somebody's files lie there
 */
export async function examineOutput(job: StageJob, mirror: Mirror): Promise<FoundOutput> {
  const { output: spec } = job.resource.spec;
  const beside = await ResultFile.look(job, mirror);
  const mark = beside.mark();
  const found = await givingWay(job, mirror, beside);
  const { there, digest } = found;
  await copyManifest(job, mirror, there);
  const made = mark === undefined ? [] : digestsIn(mark);
  const isMade = made.includes(digest ?? '');
  // A word without a digest, as earlier versions left it, may be of what lies there: it makes nobody its owner.
  if (there.size > 0 && mark?.whose === 'other' && (made.length === 0 || isMade) && !spec.replace) {
    const { kind, namespace, name } = mark.owner;
    const place = mirror.mirrors(outputOf(job)) ? spec.uri : outputOf(job);
    throw badSpec(
      `${field}: ${place} holds the artifact of ${kind} ${namespace}/${name}: choose another place, or write spec.output.replace: true to replace it`,
    );
  }
  const own = mark?.whose === 'own' && isMade ? digest : undefined;
  return {
    ...found,
    mayReplace: spec.replace === true || (own ?? false),
    own,
    told: toldOnce(job, mark),
    beside,
  };
}

/** A word without a result, as a run that was killed leaves it, does not tell whether its artifact hides rows. */
function toldOnce(
  { resource: { kind } }: StageJob,
  mark: ReturnType<ResultFile['mark']>,
): string | undefined {
  const { isOnce } = kinds[kind].results;
  if (isOnce === undefined || mark === undefined || mark.whose === 'other') return undefined;
  return mark.result === undefined || isOnce(mark.result) ? digestsIn(mark)[0] : undefined;
}

/**
 * Makes ready what lies beside an output in place: only who holds its lock may. What there may be one of, and this resource has
 * made whole, stays: where its work place keeps nothing else of it, nobody can make it again.
 */
export async function tidyOutput(job: StageJob, mirror: Mirror): Promise<void> {
  const output = outputOf(job);
  if (mirror.mirrors(output)) return;
  const { isOnce } = kinds[job.resource.kind].results;
  const keep = isOnce === undefined ? [] : await digestsMadeOnce(workOf(job).own, mirror);
  clearBeside(realPlace(output, field), { keep });
}

/** Of what lies at an output in a store only the manifest is here: the rest comes where the work is found to be its own. */
async function copyManifest(job: StageJob, mirror: Mirror, there: Seen): Promise<void> {
  const output = outputOf(job);
  if (!mirror.mirrors(output)) return;
  const isArtifact = there.has('manifest.json');
  if (isArtifact) await mirror.pullDocument(join(output, 'manifest.json'));
  // What an earlier run left here of one that is gone is no artifact, whichever stage looks.
  if (!isArtifact || !prepares(job)) clearCopy(output, isArtifact ? listedIn(output) : []);
}

function clearCopy(output: string, listed: readonly string[]): void {
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
 * @param found as it was before anything is computed, but for `digest`: what lies there now
 * @param bringing what will come and go there: by it the next pod knows what a push left, where its work place does not tell
 * @throws OffsiteError BadSpec where something came to the result's name
 */
export async function markOutput(
  { beside, own, mayReplace, digest: there }: FoundOutput,
  digest: string,
  bringing?: BringingBeside,
): Promise<void> {
  const digests = own === undefined ? [digest] : [digest, own];
  // The very artifact is there, by nobody's word this resource's: who laid it there made it, too.
  const isTaken = there === digest && own !== digest && mayReplace !== true;
  await beside.write({ digests, ...bringing }, { isTaken });
}
