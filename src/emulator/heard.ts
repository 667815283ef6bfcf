// What a model says of the held-out rows, and the file that keeps it for the next build.
import { z } from 'zod';
import { listOf } from '../api/index.ts';
import {
  canonicalJson,
  type Keeper,
  readKept as readKeptOf,
  writeWholeAmongOthers,
} from '../artifact/index.ts';
import type { RowLikelihood } from '../evaluation/index.ts';
import type { Said } from './leak/leak.ts';

/** The likelihoods of rows; and the tokens that the model would choose, where the leak is measured. */
export type Heard = Pick<Said, 'likelihoods'> & Partial<Said>;

export const isSaid = (heard: Heard): heard is Said => heard.greedyTokens !== undefined;

export interface KeptFile {
  readonly path: string;
  readonly keeper: Keeper;
  /** How many tokens the model chooses, where they are kept too. */
  readonly targets?: number;
}

/** What the file keeps; it is computed and written where there is none, or a damaged one. */
export async function keptHeard(file: KeptFile, compute: () => Promise<Heard>): Promise<Heard> {
  const { path, keeper } = file;
  await keeper.pull(path, { exact: true });
  const kept = readKept(file);
  if (kept !== undefined) return kept;
  const result = await compute();
  writeWholeAmongOthers(path, canonicalJson(written(result)));
  await keeper.push(path, { exact: true });
  return result;
}

/** A list of likelihoods alone, or both, the tokens as base64 of int32: as a list they would be more values than such a file may have. */
const written = ({ likelihoods, greedyTokens }: Heard) =>
  greedyTokens === undefined
    ? [...likelihoods]
    : { likelihoods: [...likelihoods], greedyTokens: Buffer.from(greedyTokens.buffer).toString('base64') };

/** A number that is none, or none at all, is null in JSON. */
const scores = z.array(z.number().nullable());
const likelihoodsSchema = listOf(
  z.object({
    row: z.int().nonnegative(),
    logLikelihood: scores,
    tokens: scores,
    greedy: z.array(z.boolean().nullable()).optional(),
  }),
).transform((rows) => rows as RowLikelihood[]);
const saidSchema = z.object({ likelihoods: likelihoodsSchema, greedyTokens: z.string() });

/** A damaged file is as good as none. */
function readKept({ path, targets }: KeptFile): Heard | undefined {
  if (targets === undefined) {
    const likelihoods = readKeptOf(likelihoodsSchema, path);
    return likelihoods && { likelihoods };
  }
  const said = readKeptOf(saidSchema, path);
  if (said === undefined) return undefined;
  const { likelihoods, greedyTokens } = said;
  const { buffer } = Uint8Array.from(Buffer.from(greedyTokens, 'base64'));
  if (buffer.byteLength !== targets * Int32Array.BYTES_PER_ELEMENT) return undefined;
  return { likelihoods, greedyTokens: new Int32Array(buffer) };
}
