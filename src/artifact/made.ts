// What a resource has made, in the words of its own work place: for nothing else is what lies at its output taken for its own.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readKept } from './bounded-file.ts';
import type { Keeper } from './keeper.ts';
import { writeWhole } from './write-whole.ts';

const schema = z.object({
  /** Of the work that was done last. */
  identity: z.string(),
  /** The digest of the artifact that it came to. */
  digest: z.string(),
});

/** @param own the resource's own directory */
const fileOf = (own: string): string => join(own, 'made.json');

/** The digest of the artifact that the work of this identity came to, where this resource did it last. */
export async function digestMade(own: string, identity: string, keeper: Keeper): Promise<string | undefined> {
  await keeper.pull(fileOf(own), { exact: true });
  const found = readKept(schema, fileOf(own));
  return found?.identity === identity ? found.digest : undefined;
}

/** Writes down what the work comes to. Said before the artifact takes its place, it is true whenever it is killed. */
export async function writeMade(
  own: string,
  { identity, digest }: z.output<typeof schema>,
  keeper: Keeper,
): Promise<void> {
  mkdirSync(own, { recursive: true });
  writeWhole(fileOf(own), JSON.stringify({ identity, digest }));
  await keeper.push(fileOf(own), { exact: true });
}
