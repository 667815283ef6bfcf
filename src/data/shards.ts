// Data sets in several files: which shards make up one split, and in which order.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badData } from '../api/index.ts';

const endings = ['.jsonl', '.jsonl.gz', '.jsonl.zst', '.parquet'] as const;
const endingOf = (name: string) => endings.find((ending) => name.endsWith(ending));
/** What numbers a shard: `train-00000-of-00002.parquet`, `0001.parquet`, `part_3.jsonl.gz`. What is left names the split. */
const shardNumber = /[-_.]?\d*(-of-\d+)?(\.[a-z]+){1,2}$/;
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
  const splits = [...new Set(names.map((name) => name.replace(shardNumber, '')))];
  if (splits.length > 1)
    throw badData(`${path}: holds several sets of rows (${names.join(', ')}); name the file that is meant`);
  return names.map((name) => join(path, name));
}
