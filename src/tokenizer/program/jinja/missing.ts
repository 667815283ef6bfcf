// What a template uses that it is not given, told from its text alone: which of its parts a conversation reaches says
// something of the conversation.
import { rareFilters, rareTests } from './filters.ts';
import { nodesIn } from './nodes.ts';

/** Functions of every template, and what texts, lists, mappings and loops have. */
const known: ReadonlySet<string> = new Set(
  'raise_exception range namespace dict strftime_now caller capitalize changed copy count cycle endswith find get index isalpha isdigit items join keys lower lstrip removeprefix removesuffix replace rfind rsplit rstrip split splitlines startswith strip title upper values'.split(
    ' ',
  ),
);

/** The first name of each kind, in the order of the text; none where each could be right. */
export interface Missing {
  readonly call: string | undefined;
  readonly filter: string | undefined;
  readonly test: string | undefined;
}

export function missingIn(tree: unknown): Missing {
  const nodes = [...nodesIn(tree)];
  const named = (kind: string, rare: ReadonlySet<string>) =>
    nodes.find(({ type, name }) => type === kind && rare.has(name as string))?.name as string | undefined;
  return { call: missingCall(nodes), filter: named('filter', rareFilters), test: named('test', rareTests) };
}

function missingCall(
  nodes: readonly { readonly type: string; readonly name?: unknown }[],
): string | undefined {
  const own = new Set(nodes.filter(({ type }) => /^(target|macro)$/.test(type)).map(({ name }) => name));
  for (const node of nodes) {
    if (node.type !== 'call') continue;
    const { type, name } = (node as unknown as { of: { type: string; name?: string } }).of;
    if ((type === 'name' || type === 'attribute') && name !== undefined && !known.has(name) && !own.has(name))
      return name;
  }
  return undefined;
}
