// Runs a template's tree as Jinja runs it where transformers sets it up: sandboxed, nothing of Python behind it.

import { givenNames } from './expressions.ts';
import { Fault, fail, unsupported } from './faults.ts';
import { byName, filterNamed, testNamed } from './filters.ts';
import { builtIns, range } from './globals.ts';
import { attributeOf, methodNamed } from './methods.ts';
import {
  type Body,
  type Expression,
  type LoopName,
  nodesIn,
  type Passing,
  type Statement,
  type Target,
} from './nodes.ts';
import { parse } from './parser.ts';
import { type Loop, Scope } from './scope.ts';
import { points } from './text.ts';
import {
  type Arguments,
  bounded,
  Callable,
  computed,
  Dated,
  type Held,
  holds,
  isNumber,
  itemsOf,
  joined,
  missing,
  Namespace,
  plain,
  sliceOf,
  textOf,
  truthOf,
  Undefined,
  type Value,
} from './values.ts';

const deepestCall = 100;

/** What a template writes, with what stands between its generation tags, [from, to) of the text. */
export interface Rendered {
  readonly text: string;
  readonly generations: readonly (readonly [from: number, to: number])[];
  /** Whether the template has such tags, reached or not. */
  readonly isMarked: boolean;
}

/** What a template uses that it is not given, told from its text alone: which of its parts a conversation reaches says something of the conversation. */
interface Missing {
  readonly call: string | undefined;
  readonly unsupported: string | undefined;
}

/** A template that was parsed, to be written with any values. */
export class Program {
  readonly #body: Body;
  readonly #missing: Missing;
  readonly #isMarked: boolean;

  /** @throws Fault where it is no Jinja, or uses what is not supported */
  constructor(template: string) {
    this.#body = parse(template);
    this.#missing = missingIn(this.#body);
    this.#isMarked = [...nodesIn(this.#body)].some(({ type }) => type === 'generation');
  }

  /**
   * @param longest characters that it may write
   * @throws Refusal where the template itself does not take the values; Fault where it fails
   */
  render(values: ReadonlyMap<string, Value>, longest: number): Rendered {
    return { ...new Run(values, longest, this.#missing).root(this.#body), isMarked: this.#isMarked };
  }
}

function missingIn(body: Body): Missing {
  const known = new Set<string>(givenNames);
  for (const node of nodesIn(body)) {
    if (node.type === 'target' || node.type === 'macro') known.add(node.name);
    if (node.type === 'macro') for (const { name } of node.parameters) known.add(name);
    if (node.type === 'for') for (const name of node.targets) known.add(name);
  }
  let [call, refused]: [string?, string?] = [];
  for (const node of nodesIn(body)) {
    if (node.type === 'call' && !known.has(node.name)) call ??= node.name;
    if (node.type === 'unsupported') refused ??= node.what;
    if (node.type === 'safe') refused ??= 'safe where its value is not written at once';
  }
  return { call, unsupported: refused };
}

/** Why a body's statements ended early. */
type Leaving = 'break' | 'continue' | undefined;

class Run {
  readonly #globals: ReadonlyMap<string, Held>;
  readonly #longest: number;
  readonly #missing: Missing;
  #calls = 0;
  #written: string[] = [];
  #length = 0;
  #showsDay = false;
  /** Whether a loop's items are being chosen, all before its first. */
  #chooses = false;
  readonly #generations: [from: number, to: number][] = [];

  constructor(values: ReadonlyMap<string, Value>, longest: number, names: Missing) {
    this.#globals = new Map<string, Held>([...Object.entries(builtIns), ...values]);
    this.#longest = longest;
    this.#missing = names;
  }

  root(body: Body): Omit<Rendered, 'isMarked'> {
    this.#enter(body, undefined);
    return { text: this.#written.join(''), generations: this.#generations };
  }

  #enter(body: Body, around: Scope | undefined, own: Iterable<readonly [string, Held]> = []): Leaving {
    return this.#all(body.statements, new Scope(body, around, own));
  }

  #all(statements: readonly Statement[], scope: Scope): Leaving {
    for (const statement of statements) {
      const leaving = this.#one(statement, scope);
      if (leaving !== undefined) return leaving;
    }
    return undefined;
  }

  #write(text: string): void {
    this.#length += text.length;
    if (this.#length > this.#longest)
      throw new Fault(`it writes more than ${this.#longest} characters of a conversation`);
    this.#written.push(text);
  }

  #show(value: Held): void {
    if (value instanceof Dated) this.#showsDay = true;
    this.#write(value instanceof Dated ? value.text : textOf(plain(value)));
  }

  /** What is written meanwhile, apart. */
  #captured(write: () => void): string | Dated {
    const [written, length, showsDay] = [this.#written, this.#length, this.#showsDay];
    [this.#written, this.#showsDay] = [[], false];
    write();
    const text = this.#written.join('');
    const value = this.#showsDay ? new Dated(text) : text;
    [this.#written, this.#length, this.#showsDay] = [written, length, showsDay];
    return value;
  }

  #one(statement: Statement, scope: Scope): Leaving {
    switch (statement.type) {
      case 'data':
        this.#write(statement.text);
        return;
      case 'write':
        this.#show(this.#value(statement.value, scope));
        return;
      case 'for':
        return this.#for(statement, scope);
      case 'if': {
        const branch = statement.branches.find(({ test }) => this.#isTrue(test, scope));
        return this.#all(branch?.statements ?? statement.otherwise, scope);
      }
      case 'set':
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return;
      case 'capture': {
        const inner = new Scope(statement.body, scope, []);
        const text = this.#captured(() => this.#all(statement.body.statements, inner));
        this.#assign(statement.target, text, scope);
        return;
      }
      case 'macro':
        scope.set(statement.name, this.#macro(statement, scope));
        return;
      case 'unsupported':
        return this.#refuse();
      case 'generation': {
        const from = this.#length;
        this.#enter(statement.body, scope);
        this.#generations.push([from, this.#length]);
        return;
      }
      default:
        return statement.type;
    }
  }

  #refuse(): never {
    return unsupported(this.#missing.unsupported!);
  }

  #for({ targets, of, test, body, otherwise }: Statement & { type: 'for' }, scope: Scope): Leaving {
    const all = itemsOf(this.#plain(of, scope));
    const ownAt = (item: Value): [string, Value][] =>
      targets.map((name, i) => [name, targets.length === 2 ? (item as Value[])[i]! : item]);
    const items = test === undefined ? all : this.#chosen(all, { ownAt, test }, scope);
    for (const [at, item] of items.entries()) {
      const inner = new Scope(body, scope, ownAt(item), { items, at });
      if (this.#all(body.statements, inner) === 'break') break;
    }
    return items.length === 0 ? this.#enter(otherwise, scope) : undefined;
  }

  #chosen(
    all: readonly Value[],
    { ownAt, test }: { ownAt: (item: Value) => [string, Value][]; test: Expression },
    scope: Scope,
  ): readonly Value[] {
    const chooses = this.#chooses;
    this.#chooses = true;
    const items = all.filter((item) => this.#isTrue(test, new Scope(undefined, scope, ownAt(item))));
    this.#chooses = chooses;
    return items;
  }

  /** The fields of a namespace, which nothing may ask for while a loop's items are chosen: Jinja chooses each when its turn comes. */
  #fields(held: Held): Map<string, Held> {
    if (!(held instanceof Namespace)) return fail();
    return this.#chooses ? unsupported('a namespace in the condition of a loop') : held.fields;
  }

  #assign(target: Target, value: Held, scope: Scope): void {
    if (target.type === 'target') scope.set(target.name, value);
    else this.#fields(this.#named(target.namespace, scope)).set(target.name, value);
  }

  #macro({ parameters, body }: Statement & { type: 'macro' }, scope: Scope): Callable {
    return new Callable(({ list, named }) => {
      const own = parameters.map(({ name, otherwise }, i): [string, Held] => {
        if (i < list.length) return [name, named.has(name) ? fail() : list[i]!];
        return [name, named.has(name) ? named.get(name)! : otherwise === undefined ? missing : otherwise];
      });
      const names = new Set(parameters.map(({ name }) => name));
      if (list.length > parameters.length || [...named.keys()].some((name) => !names.has(name)))
        return fail();
      const inner = new Scope(body, scope, own);
      return this.#captured(() => this.#all(body.statements, inner));
    });
  }

  #isTrue(expression: Expression, scope: Scope): boolean {
    return truthOf(this.#plain(expression, scope));
  }

  #plain(expression: Expression, scope: Scope): Value {
    return plain(this.#value(expression, scope));
  }

  #value(expression: Expression, scope: Scope): Held {
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'unsupported':
      case 'safe':
        return this.#refuse();
      case 'name':
        return this.#named(expression.name, scope);
      case 'list':
        return expression.items.map((item) => this.#plain(item, scope));
      case 'concat':
        return joined(expression.items.map((item) => this.#value(item, scope)));
      case 'mapping':
        return new Map(expression.entries.map(([name, item]) => [name, this.#plain(item, scope)]));
      case 'attribute':
        return this.#attribute(this.#value(expression.of, scope), expression.name);
      case 'item': {
        const of = this.#value(expression.of, scope);
        const at = this.#plain(expression.at, scope);
        return of instanceof Namespace && typeof at === 'string'
          ? this.#attribute(of, at)
          : item(plain(of), at);
      }
      case 'slice': {
        const of = this.#plain(expression.of, scope);
        const [from, to, step] = [0, 1, 2].map((i) => {
          const bound = expression.bounds[i];
          return bound === undefined ? null : this.#plain(bound, scope);
        }) as [Value, Value, Value];
        return sliceOf(of, [from, to, step]);
      }
      case 'loop':
        return loopValue(scope.loop ?? fail(), expression.name);
      case 'call': {
        const list = expression.list.map((value) => this.#value(value, scope));
        const named = new Map(expression.named.map(([name, value]) => [name, this.#value(value, scope)]));
        return this.#called(this.#named(expression.name, scope), { list, named });
      }
      case 'method':
      case 'filter': {
        const of = this.#plain(expression.of, scope);
        const given = expression.given.map((value) => value && this.#plain(value, scope));
        const named = expression.type === 'filter' ? filterNamed : methodNamed;
        return named(expression.name)!.apply(of, given);
      }
      case 'test': {
        const { apply } = testNamed(expression.name)!;
        const of = this.#value(expression.of, scope);
        if (!/^(un)?defined$/.test(expression.name)) return apply(plain(of), undefined);
        return apply(of instanceof Undefined ? of : null, undefined);
      }
      case 'not':
        return !this.#isTrue(expression.of, scope);
      case 'minus': {
        const value = this.#plain(expression.of, scope);
        return isNumber(value) ? bounded(-BigInt(value)) : fail();
      }
      case 'and': {
        const left = this.#plain(expression.left, scope);
        return truthOf(left) ? this.#value(expression.right, scope) : left;
      }
      case 'or': {
        const left = this.#plain(expression.left, scope);
        return truthOf(left) ? left : this.#value(expression.right, scope);
      }
      case 'arithmetic': {
        const left = this.#value(expression.left, scope);
        return computed(expression.operator, left, this.#value(expression.right, scope));
      }
      case 'comparison': {
        const left = this.#plain(expression.left, scope);
        return holds(expression.operator, left, this.#plain(expression.right, scope));
      }
      case 'choice': {
        if (this.#isTrue(expression.test, scope)) return this.#value(expression.yes, scope);
        return expression.no === undefined ? missing : this.#value(expression.no, scope);
      }
      default:
        return this.#passed(expression, scope);
    }
  }

  #named(name: string, scope: Scope): Held {
    const own = scope.get(name);
    return own === undefined ? valueIn(this.#globals, name) : own;
  }

  #attribute(of: Held, name: string): Held {
    return of instanceof Namespace ? valueIn(this.#fields(of), name) : attribute(plain(of), name);
  }

  #passed(passing: Passing, scope: Scope): Value[] {
    switch (passing.type) {
      case 'range':
        return range(passing.bounds.map((bound) => this.#plain(bound, scope)));
      case 'pairs':
        return this.#pairs(passing, scope);
      case 'map': {
        const { attribute: path, filter } = passing;
        const items = itemsOf(this.#plain(passing.of, scope));
        if (path !== undefined) return items.map((of) => itemBy(of, path));
        return items.map((of) => filterNamed(filter!)!.apply(of, []));
      }
      case 'select': {
        const items = itemsOf(this.#plain(passing.of, scope));
        const other = passing.other && this.#plain(passing.other, scope);
        const { attribute: path, test, wanted } = passing;
        const isRight = (of: Value) => {
          const value = path === undefined ? of : itemBy(of, path);
          return test === undefined ? truthOf(value) : testNamed(test)!.apply(value, other);
        };
        return items.filter((of) => isRight(of) === wanted);
      }
    }
  }

  #pairs({ of, name }: Passing & { type: 'pairs' }, scope: Scope): Value[] {
    const all = this.#plain(of, scope);
    if (all instanceof Undefined && name === 'items') return [];
    if (!(all instanceof Map)) return fail();
    const pairs = [...all];
    return name === 'dictsort' ? pairs.sort(byName) : pairs;
  }

  /** Ends calls without end. */
  #called(of: Held, given: Arguments): Held {
    if (!(of instanceof Callable))
      throw new Fault(
        `it calls ${this.#missing.call ?? 'what is no function'}, which is not given to templates`,
      );
    if (this.#calls === deepestCall) throw new Fault(`its calls are nested deeper than ${deepestCall}`);
    this.#calls++;
    try {
      return of.call(given);
    } finally {
      this.#calls--;
    }
  }
}

function loopValue({ items, at }: Loop, name: LoopName): Value {
  const count = items.length;
  switch (name) {
    case 'index':
      return BigInt(at + 1);
    case 'index0':
      return BigInt(at);
    case 'revindex':
      return BigInt(count - at);
    case 'revindex0':
      return BigInt(count - at - 1);
    case 'first':
      return at === 0;
    case 'last':
      return at === count - 1;
    case 'length':
      return BigInt(count);
    case 'previtem':
      return at === 0 ? missing : items[at - 1]!;
    case 'nextitem':
      return at === count - 1 ? missing : items[at + 1]!;
  }
}

const valueIn = <T>(names: ReadonlyMap<string, T>, name: string): T | Undefined =>
  names.has(name) ? names.get(name)! : missing;

function attribute(of: Value, name: string): Value {
  if (of instanceof Undefined) return fail();
  return attributeOf(of, name) ?? (of instanceof Map ? valueIn(of, name) : missing);
}

function item(of: Value, at: Value): Value {
  if (of instanceof Undefined) return fail();
  if (of instanceof Map && typeof at === 'string' && of.has(at)) return of.get(at)!;
  if (typeof at === 'string')
    return at.startsWith('_') ? unsupported('a place that begins with _') : attribute(of, at);
  if (typeof at === 'boolean') return unsupported('a truth value as a place');
  const items = typeof of === 'string' ? points(of) : of;
  if (!Array.isArray(items) || typeof at !== 'bigint') return missing;
  const place = Number(at) < 0 ? Number(at) + items.length : Number(at);
  return place in items ? items[place]! : missing;
}

/** By a path such as `function.name`. */
const itemBy = (of: Value, path: string): Value => path.split('.').reduce(item, of);
