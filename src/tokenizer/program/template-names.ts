// What a template asks for that it is not given, told from its text alone: which of its parts a conversation reaches says
// something of the conversation.

/** A node of a template's program, as the interpreter's parser gives it. */
export interface Statement {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The first name of each kind, in the order of the text, that no template is given; none where each could be right. */
export interface Missing {
  readonly call?: string | undefined;
  readonly filter?: string | undefined;
  readonly test?: string | undefined;
}

/** Jinja's own, whether the interpreter has them or not: one of another name is none. */
const filters =
  'abs attr batch capitalize center count d default dictsort e escape filesizeformat first float forceescape format groupby indent int items join last length list lower map max min pprint random reject rejectattr replace reverse round safe select selectattr slice sort string striptags sum title tojson trim truncate unique upper urlencode urlize wordcount wordwrap xmlattr';
const tests =
  'boolean callable defined divisibleby eq equalto escaped even false filter float ge greaterthan gt in integer iterable le lessthan lower lt mapping ne none number odd sameas sequence string test true undefined upper';
/** Of texts, lists and mappings in Python, as far as templates use them; beside them what macros are called by. */
const methods =
  'append caller capitalize count endswith find format get index insert items join keys lower lstrip namespace pop remove replace reverse rstrip split splitlines startswith strip title update upper values';

const known = {
  call: new Set(methods.split(' ')),
  filter: new Set(filters.split(' ')),
  test: new Set(tests.split(' ')),
};
type Name = { readonly kind: keyof typeof known; readonly name: string };

/** @param given the functions that every template has */
export function missingIn(program: unknown, given: readonly string[]): Missing {
  const statements = [...statementsIn(program)];
  const own = new Set([...given, ...statements.flatMap(namesGivenBy)]);
  const missing: Partial<Record<Name['kind'], string>> = {};
  for (const { kind, name } of statements.flatMap(namesUsedBy))
    if (!known[kind].has(name) && !(kind === 'call' && own.has(name))) missing[kind] ??= name;
  return missing;
}

/** In the order of the text; without recursion, since a template may nest as deep as it likes. */
function* statementsIn(program: unknown): Generator<Statement> {
  const open: unknown[] = [program];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null) continue;
    if (typeof (value as Statement).type === 'string') yield value as Statement;
    const fields: unknown[] = value instanceof Map ? [...value].flat() : Object.values(value);
    for (let i = fields.length - 1; i >= 0; i--) open.push(fields[i]);
  }
}

/** A filter with arguments is a call of its name; so is a test. */
function namesUsedBy(statement: Statement): Name[] {
  const { type } = statement;
  if (type === 'FilterExpression' || type === 'FilterStatement') return named('filter', statement['filter']);
  if (type === 'TestExpression') return named('test', statement['test']);
  if (type === 'CallExpression') return named('call', statement);
  return [];
}

function named(kind: Name['kind'], part: unknown): Name[] {
  const { type, callee, property, value } = part as Statement;
  if (type === 'CallExpression') return named(kind, callee);
  if (type === 'MemberExpression') return named(kind, property);
  return type === 'Identifier' && typeof value === 'string' ? [{ kind, name: value }] : [];
}

/** Macros, what is set, and what loops and macros are given may all be called. */
function namesGivenBy({ type, name, assignee, loopvar, args }: Statement): string[] {
  const givers = { Macro: [name, args], Set: [assignee], For: [loopvar] }[type] ?? [];
  return [...statementsIn(givers)].flatMap(({ type, value }) =>
    type === 'Identifier' && typeof value === 'string' ? [value] : [],
  );
}
