// What lies at an output and may give way. One rule for all kinds, places and specs:
//
//   An artifact gives way whole, only as it was when it was read and by what its own manifest lists; no other file ever does,
//   whatever its name and whenever it came, but what a push of this very resource left there (bringing.ts).
//
// Whether the artifact may give way at all, owner.ts knows. This is asked before anything is computed, by each stage, and where
// artifacts may be replaced (`spec.output.replace`) once more right before one goes up to a store. What comes after that is in no
// answer, and ends the push; on disk the same is asked of what is aside (`checkReplaceable`).
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import {
  type Mirror,
  manifestIn,
  pathsOf,
  peekManifest,
  refuseOthers,
  type Seen,
} from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf } from '../places.ts';
import { leftOf } from './bringing.ts';
import type { ResultFile } from './result-file.ts';

const field = 'spec.output.uri';

/** What lies at an output, all of which may give way. */
export interface GivingWay {
  /** As it was when it was read: what comes later is nobody's that this resource knows. */
  there: Seen;
  /** The digest of the artifact that lies there. */
  digest: string | undefined;
  /** The artifact's names, and those of what this resource left of what it brought. */
  removable: string[];
}

/**
 * @param beside what lies beside the output: where another resource has said since that it is its own, nothing is left there of this one
 * @throws OffsiteError BadSpec where anybody's file lies there, BadModel where what lies there as a manifest is none
 */
export async function givingWay(job: StageJob, mirror: Mirror, beside: ResultFile): Promise<GivingWay> {
  const output = outputOf(job);
  const place = mirror.mirrors(output) ? job.resource.spec.output.uri : output;
  const there = await mirror.look(output);
  if (there.has('')) throw badSpec(`${field}: ${place} is a file; an artifact is a directory`);
  const artifact = await artifactAt(output, there, mirror);
  const listed = artifact === undefined ? [] : pathsOf(artifact.manifest);
  const mark = beside.mark();
  // Of no use to one of its name elsewhere either: no artifact came of it.
  const left = mark?.whose === 'other' ? [] : await leftOf(job, mirror, there, mark);
  const removable = [...listed, ...left];
  refuseOthers([...there.keys()], removable, { place, field });
  return { there, digest: artifact?.digest, removable };
}

async function artifactAt(output: string, there: Seen, mirror: Mirror) {
  if (!mirror.mirrors(output)) return peekManifest(output);
  const file = join(output, 'manifest.json');
  const version = there.get('manifest.json');
  return version === undefined ? undefined : manifestIn(await mirror.read(file, version), file);
}
