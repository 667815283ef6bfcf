// What the emulator says of preference pairs before it is tuned: computed once, and kept with the checkpoints.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badModel } from '../api/index.ts';
import { canonicalJson, readKept, sha256, writeWhole } from '../artifact/index.ts';
import type { Example } from '../data/index.ts';
import { type Likelihoods, type PairReference, pairLikelihoods, pairReference } from '../evaluation/index.ts';

/** By row. */
export type Reference = PairReference;

const keptSchema = z.object({ identity: z.string(), likelihoods: z.string(), seal: z.string() });

/**
 * The reference of some rows, from the file of an earlier process or computed and written there.
 * @param directory of the checkpoints of this very training
 * @param identity digest of all that the training depends on
 * @param score what the untrained emulator says of the rows
 * @param takesAll whether a row that it gives no probability is taken as it is, which its training must bear
 * @throws OffsiteError BadModel where it gives an answer no probability at all
 */
export async function keptReference(
  {
    directory,
    name,
    identity,
    takesAll = false,
  }: { directory: string; name: string; identity: string; takesAll?: boolean },
  examples: readonly Example[],
  score: () => Promise<Likelihoods>,
): Promise<Reference> {
  const path = join(directory, `reference-${name}.json`);
  const kept = readReference(path, identity, examples);
  if (kept !== undefined) return kept;
  const found = pairReference(examples, pairLikelihoods(await score()));
  for (const { row } of examples) {
    const { chosen, rejected } = found.get(row);
    if (!takesAll && !(Number.isFinite(chosen) && Number.isFinite(rejected)))
      throw badModel(
        `the emulator gives an answer of row ${row + 1} (${name}) no probability to compare with`,
      );
  }
  mkdirSync(directory, { recursive: true });
  writeWhole(path, JSON.stringify(sealed(identity, examples, found)));
  return found;
}

const sealOf = (stored: { identity: string; likelihoods: string }) => sha256(canonicalJson(stored));

function sealed(identity: string, examples: readonly Example[], found: Reference) {
  const numbers = new Float64Array(2 * examples.length);
  for (const [i, { row }] of examples.entries()) {
    const { chosen, rejected } = found.get(row);
    numbers.set([chosen, rejected], 2 * i);
  }
  const likelihoods = Buffer.from(numbers.buffer).toString('base64');
  return { identity, likelihoods, seal: sealOf({ identity, likelihoods }) };
}

function* pairsIn(numbers: Float64Array, examples: readonly Example[]) {
  for (const [i, { row }] of examples.entries())
    yield [row, { chosen: numbers[2 * i]!, rejected: numbers[2 * i + 1]! }] as const;
}

/** A damaged file, and one of other work, is as good as none: the emulator is not tuned yet when it is asked. */
function readReference(path: string, identity: string, examples: readonly Example[]): Reference | undefined {
  const stored = readKept(keptSchema, path);
  if (stored === undefined) return undefined;
  const { seal, ...rest } = stored;
  if (seal !== sealOf(rest) || rest.identity !== identity) return undefined;
  const { buffer } = Uint8Array.from(Buffer.from(rest.likelihoods, 'base64'));
  if (buffer.byteLength !== 2 * examples.length * Float64Array.BYTES_PER_ELEMENT) return undefined;
  const numbers = new Float64Array(buffer);
  return pairReference(examples, pairsIn(numbers, examples));
}
