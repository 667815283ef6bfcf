// Which resources are watched, as the command line names them.
import { badSpec, type Kind, kinds } from '../api/index.ts';

/** Which resources are watched; what is left out may be anything. */
export interface WatchTarget {
  kind?: Kind;
  name?: string;
  namespace?: string;
  /** Else, without a namespace, kubectl's own. */
  allNamespaces?: boolean;
}

/**
 * `NAME`, `KIND/NAME` or `KIND/`, the kind as kubectl takes it (`OffsiteTune`, `offsitetunes`, `ot`).
 * @throws OffsiteError BadSpec saying which kinds there are
 */
export function parseTarget(
  text: string | undefined,
  within: Pick<WatchTarget, 'namespace' | 'allNamespaces'> = {},
): WatchTarget {
  if (text === undefined) return within;
  const [first = '', second, ...rest] = text.split('/');
  if (rest.length > 0) throw badSpec(`${text}: write NAME or KIND/NAME`);
  if (second === undefined) return { ...within, name: first };
  const kind = kindOf(first);
  return { ...within, kind, ...(second !== '' && { name: second }) };
}

function kindOf(text: string): Kind {
  const wanted = text.toLowerCase();
  const found = Object.values(kinds).find(({ kind, names }) =>
    [kind.toLowerCase(), names.plural, names.singular, names.short].includes(wanted),
  );
  if (found !== undefined) return found.kind;
  const all = Object.values(kinds).map(({ kind, names }) => `${kind} (${names.short})`);
  throw badSpec(`${text}: is no kind of ours: ${all.join(', ')}`);
}
