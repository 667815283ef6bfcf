// An artifact that was made takes its place in a store, over nothing but what was seen there.
import { randomUUID } from 'node:crypto';
import { badSpec } from '../../api/index.ts';
import { isStoreError, listedIn, type Mirror, type Seen, signatureName } from '../../artifact/index.ts';
import type { StageJob } from '../job.ts';
import { outputOf } from '../places.ts';
import { forgetBringing, keepBringing, marksOf } from './bringing.ts';
import { givingWay } from './giving-way.ts';
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
  // An artifact that came meanwhile may go where another one might have.
  const before = replace === true ? await givingWay(job, mirror, found.beside) : found;
  const seen = before.there;
  const made = new Set(listedIn(output));
  const files = [...before.removable, ...made];
  const isSame = before.digest === digest;
  // Somebody else's of the same bytes is taken as it stands: nothing of it is what this push brings.
  const stands = isSame && found.own !== digest;
  const gives: Seen = stands ? new Map([...seen].filter(([path]) => !made.has(path))) : seen;
  const writer = randomUUID();
  await keepBringing(job, mirror, { files, writer, seen: gives });
  await markOutput(found, digest, { files, writer, earlier: await marksOf(job, mirror, gives) });
  // A signature of the very same artifact is one of what takes its place, whoever signed it.
  const removable = before.removable.filter((path) => !isSame || path !== signatureName);
  let beside: readonly string[];
  try {
    beside = await mirror.push(output, { exact: true }, { removable, seen, stands, writer });
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
