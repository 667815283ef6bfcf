// Data sets in several files: which shards make up one split, and in which order.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badData } from '../api/index.ts';

const endings = ['.jsonl', '.jsonl.gz', '.jsonl.zst', '.parquet'] as const;
const endingOf = (name: string) => endings.find((ending) => name.endsWith(ending));
/** What numbers a shard before its ending: `0001`, `part_3`. What is left names the split. */
const shardNumber = /[-_.]?\d*(?=(-of-\d+)?$)/;
/** The same, with how many there are: `train-00000-of-00002`. What is left names the split, with how many it has. */
const numberOfCount = /[-_.]?(\d+)([-_]of[-_](\d+))$/;
/** A hub's older files have one behind the number, each its own. */
const hash = /(-of-\d+)-[0-9a-f]{16}$/;
const withoutHash = (name: string) => name.slice(0, -endingOf(name)!.length).replace(hash, '$1');
/** Spark's files have the number of a part before the id of what wrote them all, and that of a piece behind. */
const sparkNumber = /^part-\d+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-c\d+/;
const splitOf = (name: string) => {
  const bare = withoutHash(name).replace(sparkNumber, 'part-$1');
  // No name has a slash: `train-of-2` itself is no shard of these.
  return numberOfCount.test(bare) ? bare.replace(numberOfCount, '/$2') : bare.replace(shardNumber, '');
};
/** Two shards of one split are never alike in it: a number's zeros in front, and a hash, tell nothing apart. */
const shardIn = (name: string) =>
  withoutHash(name).replace(numberOfCount, (_, number) => `/${Number(number)}`);
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

/**
 * The files of rows at a path, in order: the file itself, or the shards of one split in a directory.
 * @throws OffsiteError BadData when there is none, or a directory's files are not of one kind and one split, or not
 * as many as their names say
 */
export function shardsOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badData(`${path}: there is no such file`);
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(path)
    .filter((name) => endingOf(name) !== undefined)
    .sort(byNumber);
  if (names.length === 0)
    throw badData(`${path}: is a directory without *.jsonl (also .gz or .zst) or *.parquet files`);
  const kinds = [...new Set(names.map(endingOf))].sort();
  if (kinds.length > 1)
    throw badData(
      `${path}: holds ${kinds.map((kind) => `*${kind}`).join(' and ')} files; name the file that is meant`,
    );
  const splits = [...new Set(names.map(splitOf))];
  const isTwice = new Set(names.map(shardIn)).size < names.length;
  if (splits.length > 1 || isTwice)
    throw badData(`${path}: holds several sets of rows (${names.join(', ')}); name the file that is meant`);
  checkCount(path, names);
  return names.map((name) => join(path, name));
}

/**
 * Looks whether all shards are there where their names say how many they are, counted from 0 or from 1.
 * @param names of one split, in order, none twice
 */
function checkCount(path: string, names: readonly string[]): void {
  const first = numberOfCount.exec(withoutHash(names[0]!));
  if (first === null) return;
  const count = Number(first[3]);
  const numberIn = (name: string) => Number(numberOfCount.exec(withoutHash(name))?.[1]);
  const numbers = new Set(names.map(numberIn));
  const isFromOne = numbers.has(count) && !numbers.has(0);
  const start = isFromOne ? 1 : 0;
  const stray = names.find((name) => numberIn(name) < start || numberIn(name) >= start + count);
  if (stray !== undefined)
    throw badData(
      `${path}: holds ${stray}, whose number is none of ${count} counted from ${start}; name the file that is meant`,
    );
  if (numbers.size === count) return;
  const missingFrom = (number: number): string => {
    let missing = number;
    while (numbers.has(missing)) missing++;
    return nameOf(names[0]!, missing);
  };
  const either = isFromOne || numbers.has(0) ? '' : ` (or ${missingFrom(1)}, where they are counted from 1)`;
  throw badData(
    `${path}: holds ${numbers.size} of the ${count} files that their names tell of: ${count - numbers.size} missing, the first ${missingFrom(start)}${either}; put all of them there, or name the one file that is meant`,
  );
}

/** The name of the shard with another number beside one; a star is for the hash that nobody knows. */
function nameOf(shard: string, number: number): string {
  const bare = shard.slice(0, -endingOf(shard)!.length);
  const name = withoutHash(shard).replace(numberOfCount, (all, digits: string) =>
    all.replace(digits, String(number).padStart(digits.length, '0')),
  );
  return `${name}${hash.test(bare) ? '-*' : ''}${endingOf(shard)}`;
}
