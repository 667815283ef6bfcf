// Which names of a body nothing gives a value to before they are set there: Jinja tells it from the text (its idtracking).
import { type Body, type Expression, nodesIn, type Statement, type Target } from './nodes.ts';

type Source = 'outer' | 'nowhere' | 'given';

/** @param parameters names that come with the body */
export function bodyOf(statements: readonly Statement[], parameters: readonly string[] = []): Body {
  const symbols = new Symbols();
  for (const name of parameters) symbols.sources.set(name, 'given');
  symbols.through(statements);
  const hidden = [...symbols.sources].filter(([, source]) => source === 'nowhere').map(([name]) => name);
  return { statements, names: new Set(symbols.sources.keys()), hidden };
}

class Symbols {
  readonly sources: Map<string, Source>;
  readonly stored: Set<string>;

  constructor(sources = new Map<string, Source>(), stored = new Set<string>()) {
    this.sources = sources;
    this.stored = stored;
  }

  #load(name: string): void {
    if (!this.sources.has(name)) this.sources.set(name, 'outer');
  }

  #store(name: string): void {
    this.stored.add(name);
    if (!this.sources.has(name)) this.sources.set(name, 'nowhere');
  }

  #read(value: Expression): void {
    for (const node of nodesIn(value))
      if (node.type === 'name' || node.type === 'call') this.#load(node.name);
  }

  #write(target: Target): void {
    if (target.type === 'target') this.#store(target.name);
    else this.#load(target.namespace);
  }

  through(statements: readonly Statement[]): void {
    for (const statement of statements) this.#visit(statement);
  }

  #visit(statement: Statement): void {
    switch (statement.type) {
      case 'write':
        this.#read(statement.value);
        break;
      case 'for':
        this.#read(statement.of);
        break;
      case 'set':
        this.#read(statement.value);
        this.#write(statement.target);
        break;
      case 'capture':
        this.#write(statement.target);
        break;
      case 'macro':
        this.#store(statement.name);
        break;
      case 'if':
        this.#visitIf(statement);
    }
  }

  /** A name that branches set has its outer value before them, and in the others. */
  #visitIf({ branches, otherwise }: Omit<Statement & { type: 'if' }, 'type'>): void {
    const [first, ...others] = branches;
    this.#read(first!.test);
    const parts = [
      (inner: Symbols) => inner.through(first!.statements),
      (inner: Symbols) => {
        for (const other of others) inner.#visitIf({ branches: [other], otherwise: [] });
      },
      (inner: Symbols) => inner.through(otherwise),
    ];
    const inner = parts.map((visit) => {
      const symbols = new Symbols(new Map(this.sources), new Set(this.stored));
      visit(symbols);
      return symbols;
    });
    const set = new Set(inner.flatMap(({ stored }) => [...stored]).filter((name) => !this.stored.has(name)));
    for (const { sources, stored } of inner) {
      for (const [name, source] of sources) this.sources.set(name, source);
      for (const name of stored) this.stored.add(name);
    }
    for (const name of set) this.sources.set(name, 'outer');
  }
}
