import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badData } from '../api/index.ts';

const endings = ['.jsonl', '.parquet'] as const;
/** `train-00000-of-00002.parquet`: the hub's name of a split's shard. */
const shardName = /^(.+)-\d{5}-of-\d{5}\.[a-z]+$/;

/**
 * The files of rows at a path, in order: the file itself, or the shards of one split in a directory.
 * @throws OffsiteError BadData when there is none, or a directory's files are not of one kind and one split
 */
export function shardsOf(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badData(`${path}: there is no such file`);
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(path)
    .filter((name) => endings.some((ending) => name.endsWith(ending)))
    .sort();
  if (names.length === 0) throw badData(`${path}: is a directory without *.jsonl or *.parquet files`);
  if (endings.every((ending) => names.some((name) => name.endsWith(ending))))
    throw badData(`${path}: holds *.jsonl and *.parquet files; name the file that is meant`);
  const splits = [...new Set(names.map((name) => shardName.exec(name)?.[1] ?? ''))];
  if (splits.length > 1)
    throw badData(`${path}: holds several sets of rows (${names.join(', ')}); name the file that is meant`);
  return names.map((name) => join(path, name));
}
