// An artifact that was made takes its place in a store, over nothing but what was seen there.
import { randomUUID } from 'node:crypto';
import { badSpec } from '../../api/index.ts';
import {
  isStoreError,
  listedIn,
  type Mirror,
  refuseOthers,
  type Seen,
  signatureName,
} from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
import { forgetBringing, keepBringing, marksOf } from './bringing.ts';
import { type FoundOutput, markOutput } from './owner.ts';
import { checkSurroundings } from './surroundings.ts';

/**
 * What will come and go there, and the digest that is to come, is written down first, so that whatever else the next pod finds
 * there is somebody else's; then each file goes up over what was seen alone. What was written down stays unless all of it came.
 * @throws OffsiteError BadSpec where something came there, which stays; what went up is taken back
 */
export async function bringOutput(
  job: StageJob,
  digest: string,
  { found, mirror }: { found: FoundOutput; mirror: Mirror },
): Promise<void> {
  const output = outputOf(job);
  const { uri, replace } = job.resource.spec.output;
  await checkSurroundings(job, mirror);
  const seen = (replace === true && (await sealedSince(output, found, mirror))) || found.there;
  const files = [...found.removable, ...listedIn(output)];
  refuseOthers([...seen.keys()], files, { place: uri, field: 'spec.output.uri' });
  const writer = randomUUID();
  await keepBringing(job, mirror, { files, writer, seen });
  const earlier = workOf(job).kept ? [] : await marksOf(job, mirror, seen);
  await markOutput(job, found, digest, { files, writer, earlier });
  // A signature of the very same artifact is one of what takes its place, whoever signed it.
  const removable = found.digest === digest ? files.filter((path) => path !== signatureName) : files;
  let beside: readonly string[];
  try {
    beside = await mirror.push(output, { exact: true }, { removable, seen, writer });
  } catch (error) {
    if (replace === true || !isStoreError(error, 'Changed')) throw error;
    throw badSpec(
      `spec.output.uri: something came to ${uri} while this resource's own was made, and nothing says that this resource made it: look who put it there, and choose another place, or write spec.output.replace: true to replace an artifact`,
    );
  }
  await forgetBringing(job, mirror);
  if (beside.length === 0) return;
  throw badSpec(
    `spec.output.uri: ${JSON.stringify(beside[0])} came to ${uri} while an earlier artifact there gave way to the new one, which is whole but which nobody reads with that beside it: move it away`,
  );
}

/** What lies there where another artifact came meanwhile: it may be replaced, and a file that is no artifact's may not. */
async function sealedSince(
  output: string,
  { there }: FoundOutput,
  mirror: Mirror,
): Promise<Seen | undefined> {
  const now = await mirror.look(output);
  const seal = now.get('manifest.json');
  return seal === undefined || seal === there.get('manifest.json') ? undefined : now;
}
