// What a resource has made, in the words of its own work place: for nothing else is what lies at its output taken for its own.
import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badSpec, listOf } from '../api/index.ts';
import { readKeptJson } from './bounded-file.ts';
import type { Alike, Keeper } from './keeper.ts';
import { writeWhole } from './write-whole.ts';

const madeSchema = z.object({
  identity: z.string(),
  /** By what it is known whose fields differ in nothing that makes another, where there may be one artifact; earlier versions say none. */
  same: z.string().optional(),
  /** The digest of the artifact that it came to. */
  digest: z.string(),
});
type OneMade = z.output<typeof madeSchema>;

/** Each takes some 200 bytes and a whole training. */
const mostOnce = 4096;

const schema = madeSchema.extend({
  /**
   * All work of which there may be one artifact, however long ago it was done; the first fields are of the work that was done last.
   * Absent in what earlier versions wrote, whatever work that was.
   */
  once: listOf(madeSchema).optional(),
});

/** @param own the resource's own directory */
const fileOf = (own: string): string => join(own, 'made.json');

/**
 * The digest of the artifact that the work of the first of these names that is known came to: where this resource did it last, or
 * where there may be one alone.
 */
export async function digestMade(
  own: string,
  names: readonly string[],
  keeper: Keeper,
): Promise<string | undefined> {
  const made = await madeIn(own, keeper);
  const found = (name: string) => made.find(({ identity, same }) => identity === name || same === name);
  return names.map(found).find((known) => known !== undefined)?.digest;
}

/** The digests of all artifacts that are remembered. */
export const digestsMade = async (own: string, keeper: Puller): Promise<string[]> =>
  (await madeIn(own, keeper)).map(({ digest }) => digest);

/** Those of artifacts of which there may be one. */
export async function digestsMadeOnce(own: string, keeper: Puller): Promise<string[]> {
  await keeper.pull(fileOf(own), { exact: true });
  return rememberedIn(readMade(fileOf(own))).map(({ digest }) => digest);
}

/** Who brings what a store holds. */
interface Puller {
  pull(path: string, what: Alike): Promise<unknown>;
}

async function madeIn(own: string, keeper: Puller): Promise<OneMade[]> {
  await keeper.pull(fileOf(own), { exact: true });
  const found = readMade(fileOf(own));
  return found === undefined ? [] : [found, ...(found.once ?? [])];
}

/** Undefined where there is none. @throws OffsiteError BadSpec where it is damaged: what may be made once would be made again */
function readMade(file: string): z.output<typeof schema> | undefined {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return undefined;
  try {
    return schema.parse(readKeptJson(file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) throw error;
    throw badSpec(
      `spec.work.uri: ${file} is damaged, and what this resource has made is not known: bring it back as it was, or remove it where none of that was trained with spec.privacy`,
    );
  }
}

/**
 * Writes down what the work comes to. Said before the artifact takes its place, it is true whenever it is killed.
 * @param isOnce whether it is never forgotten
 * @throws OffsiteError BadSpec where more such work was done than is remembered
 */
export async function writeMade(
  own: string,
  { isOnce, ...made }: OneMade & { isOnce: boolean },
  keeper: Keeper,
): Promise<void> {
  const file = fileOf(own);
  await keeper.pull(file, { exact: true });
  const before = rememberedIn(readMade(file));
  const once = isOnce ? [...before.filter(({ identity }) => identity !== made.identity), made] : before;
  if (once.length > mostOnce)
    throw badSpec(
      `metadata.name: ${mostOnce} trainings with spec.privacy were made under this name, and no more are remembered: give the resource another name`,
    );
  mkdirSync(own, { recursive: true });
  writeWhole(file, JSON.stringify({ ...made, once }));
  await keeper.push(file, { exact: true });
}

/** Of an earlier version's only word nobody knows whether there may be one artifact alone: it is remembered, too. */
function rememberedIn(found: z.output<typeof schema> | undefined): OneMade[] {
  if (found === undefined) return [];
  const { once, ...last } = found;
  return once ?? [last];
}
