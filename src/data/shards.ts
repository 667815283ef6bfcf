// Data sets in several files: which shards make up one split, and in which order.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badData } from '../api/index.ts';

const endings = ['.jsonl', '.jsonl.gz', '.jsonl.zst', '.parquet'] as const;
const endingOf = (name: string) => endings.find((ending) => name.endsWith(ending));
/** What numbers a shard before its ending: `train-00000-of-00002`, `0001`, `part_3`. What is left names the split, with how many it has. */
const shardNumber = /[-_.]?\d*(?=(-of-\d+)?$)/;
/** A hub's older files have one behind the number, each its own. */
const hash = /(-of-\d+)-[0-9a-f]{16}$/;
const withoutHash = (name: string) => name.slice(0, -endingOf(name)!.length).replace(hash, '$1');
/** Spark's files have the number of a part before the id of what wrote them all, and that of a piece behind. */
const sparkNumber = /^part-\d+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-c\d+/;
const splitOf = (name: string) => withoutHash(name).replace(sparkNumber, 'part-$1').replace(shardNumber, '');
const byNumber = new Intl.Collator('en', { numeric: true }).compare;

/**
 * The files of rows at a path, in order: the file itself, or the shards of one split in a directory.
 * @throws OffsiteError BadData when there is none, or a directory's files are not of one kind and one split
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
  const isTwice = new Set(names.map(withoutHash)).size < names.length;
  if (splits.length > 1 || isTwice)
    throw badData(`${path}: holds several sets of rows (${names.join(', ')}); name the file that is meant`);
  return names.map((name) => join(path, name));
}
