// Ownership of outputs: whose artifact lies there, and whether it may be replaced.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import {
  canonicalJson,
  clearAt,
  clearBeside,
  filesIn,
  listedIn,
  type Mirror,
  peekManifest,
  type Replaceable,
  realPlace,
  refuseOthers,
  type Seen,
} from '../../artifact/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf } from '../places.ts';
import { type BringingBeside, leftOf } from './bringing.ts';
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
  /** What may be removed there: by the manifest that lies there, and what this resource left of what it brought. */
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
  const removable = [...listed, ...(await leftOf(job, mirror, there, isOwn ? mark : undefined))];
  refuseOthers(names, removable, { place, field });
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
 * @param bringing what will come and go there: where the work is not kept, the next pod knows by it alone what a push left
 * @throws OffsiteError BadSpec where something came to the result's name
 */
export async function markOutput(
  job: StageJob,
  { beside, own }: FoundOutput,
  digest: string,
  bringing?: BringingBeside,
): Promise<void> {
  const digests = own === undefined ? [digest] : [digest, own];
  await beside.write({ owner: ownerOf(job), digests, ...bringing });
}
