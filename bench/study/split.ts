// The division of rows among splits by digest: always the same, and what belongs together stays together.
import { createHash } from 'node:crypto';

/** How many rows each split has, in the order in which they are filled. */
type Sizes = Readonly<Record<string, number>>;

export interface Divided<R> {
  /** Rows of one group are in one split; its digest says in which. */
  readonly group: string;
  /** The rows of each class are divided alike. */
  readonly kind: string;
  readonly row: R;
}

/**
 * Rows by split, as many of each kind. Groups go in the order of their digests, each into the first split that is not
 * full, as much of it as there is room for; no text stands twice.
 * @throws Error where there are too few rows
 */
export function divide<R>(rows: readonly Divided<R>[], sizes: Sizes): Record<string, R[]> {
  const kinds = [...new Set(rows.map(({ kind }) => kind))].sort();
  const splits = Object.keys(sizes);
  const byKind = kinds.map((kind) =>
    fill(
      rows.filter((row) => row.kind === kind),
      sizes,
      kinds.length,
    ),
  );
  return Object.fromEntries(
    splits.map((split) => {
      const chosen = byKind.flatMap((filled) => filled.get(split)!);
      if (chosen.length < sizes[split]!)
        throw new Error(`${split}: ${chosen.length} of ${sizes[split]} rows`);
      return [split, chosen.sort(byDigest).map(({ row }) => row)];
    }),
  );
}

interface Placed<R> {
  readonly digest: string;
  readonly row: R;
}

function fill<R>(rows: readonly Divided<R>[], sizes: Sizes, kinds: number): Map<string, Placed<R>[]> {
  const groups = new Map<string, Map<string, Placed<R>>>();
  for (const { group, row } of rows) {
    const digest = digestOf(JSON.stringify(row));
    const members = groups.get(group) ?? new Map<string, Placed<R>>();
    groups.set(group, members.set(digest, { digest, row }));
  }
  const filled = new Map(Object.keys(sizes).map((split) => [split, [] as Placed<R>[]]));
  const ordered = [...groups]
    .map(([group, members]) => ({ digest: digestOf(group), members }))
    .sort(byDigest);
  for (const { members } of ordered) {
    const [split, taken] = [...filled].find(([name, rows]) => rows.length < sizes[name]! / kinds) ?? [];
    if (split === undefined || taken === undefined) break;
    taken.push(...[...members.values()].sort(byDigest).slice(0, sizes[split]! / kinds - taken.length));
  }
  return filled;
}

const byDigest = (a: { readonly digest: string }, b: { readonly digest: string }) =>
  a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0;

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');
