// Runs a template's tree as Jinja runs it where transformers sets it up: sandboxed, nothing of Python behind it.
import { Fault, fail, Refusal, unsupported } from './faults.ts';
import { applyFilter, applyTest, hasFilter, hasTest, rareFilters, rareTests } from './filters.ts';
import { inOrder, methodOf } from './methods.ts';
import { type Missing, missingIn } from './missing.ts';
import {
  type Body,
  type Expression,
  type Given,
  nodesIn,
  type Signature,
  type Statement,
  type Target,
} from './nodes.ts';
import { arithmetic } from './numbers.ts';
import { parse } from './parser.ts';
import { Scope } from './scope.ts';
import { pointCount, points } from './text.ts';
import {
  type Arguments,
  Attributes,
  areEqual,
  Callable,
  compare,
  Dated,
  isIn,
  isNumber,
  itemsOf,
  Lazy,
  lengthOf,
  missing,
  Namespace,
  numberOf,
  Range,
  sliceOf,
  Tuple,
  textOf,
  truthOf,
  Undefined,
  type Value,
} from './values.ts';

const deepestCall = 100;
/** What the sandbox of transformers allows. */
const longestRange = 100_000;
/** Of a text that is repeated. */
const longestRepeated = 2 ** 26;
/** The day that the clock shows to templates: the one that LLaMA 3's own writes where there is no clock. */
const today = { day: 26, month: 7, year: 2024, weekday: 5 };

/** What a template writes, with what stands between its generation tags, [from, to) of the text. */
export interface Rendered {
  readonly text: string;
  readonly generations: readonly (readonly [from: number, to: number])[];
}

/** A template that was parsed, to be written with any values. */
export class Program {
  readonly #body: Body;
  readonly #missing: Missing;

  /** @throws Fault where it is no Jinja, or uses what is not supported */
  constructor(template: string) {
    this.#body = parse(template);
    for (const { type, name } of nodesIn(this.#body)) {
      if (type === 'filter' && !hasFilter(name as string) && !rareFilters.has(name as string))
        throw new Fault(`it uses an unknown filter: ${name}`);
      if (type === 'test' && !hasTest(name as string) && !rareTests.has(name as string))
        throw new Fault(`it uses an unknown test: ${name}`);
      if (type === 'name' && /^(lipsum|cycler|joiner|self)$/.test(name as string)) unsupported(String(name));
    }
    this.#missing = missingIn(this.#body);
  }

  /**
   * @param longest characters that it may write
   * @throws Refusal where the template itself does not take the values; Fault where it fails
   */
  render(values: ReadonlyMap<string, Value>, longest: number): Rendered {
    return new Run(values, longest, this.#missing).root(this.#body);
  }
}

/** Why a body's statements ended early. */
type Leaving = 'break' | 'continue' | undefined;

class Run {
  readonly #globals: ReadonlyMap<string, Value>;
  readonly #longest: number;
  readonly #missing: Missing;
  #calls = 0;
  #written: string[] = [];
  #length = 0;
  #showsDay = false;
  readonly #generations: [from: number, to: number][] = [];

  constructor(values: ReadonlyMap<string, Value>, longest: number, names: Missing) {
    this.#globals = new Map([...Object.entries(builtIns), ...values]);
    this.#longest = longest;
    this.#missing = names;
  }

  root(body: Body): Rendered {
    this.#enter(body, undefined);
    return { text: this.#written.join(''), generations: this.#generations };
  }

  #enter(body: Body, around: Scope | undefined, own: Iterable<readonly [string, Value]> = []): Leaving {
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

  #show(value: Value): void {
    if (value instanceof Dated) this.#showsDay = true;
    this.#write(value instanceof Dated ? value.text : textOf(value));
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
        const branch = statement.branches.find(({ test }) => truthOf(this.#value(test, scope)));
        return this.#all(branch?.statements ?? statement.otherwise, scope);
      }
      case 'set':
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return;
      case 'capture':
        this.#capture(statement, scope);
        return;
      case 'macro':
        scope.set(statement.name, this.#macro(statement, scope));
        return;
      case 'call block':
        this.#callBlock(statement, scope);
        return;
      case 'filter block': {
        const inner = new Scope(statement.body, scope, []);
        const text = this.#captured(() => this.#all(statement.body.statements, inner));
        this.#show(this.#filtered(statement.filter, text, inner));
        return;
      }
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

  #for(statement: Statement & { type: 'for' }, scope: Scope): Leaving {
    const { target, of, test, body, otherwise, counts } = statement;
    const all = this.#value(of, scope);
    const items = test === undefined ? itemsOf(all) : this.#chosen(all, { target, test }, scope);
    const known = test === undefined && !(all instanceof Lazy) ? lengthOf(all) : undefined;
    const loop = new Loop(items, known);
    let isEmpty = true;
    for (const item of loop) {
      isEmpty = false;
      const own = this.#unpacked(target, item, scope);
      if (counts) own.push(['loop', loop.attributes]);
      if (this.#enter(body, scope, own) === 'break') break;
    }
    return isEmpty ? this.#enter(otherwise, scope) : undefined;
  }

  *#chosen(
    all: Value,
    { target, test }: { target: Target; test: Expression },
    scope: Scope,
  ): Generator<Value> {
    for (const item of itemsOf(all)) {
      const inner = new Scope(undefined, scope, this.#unpacked(target, item, scope));
      if (truthOf(this.#value(test, inner))) yield item;
    }
  }

  #unpacked(target: Target, value: Value, scope: Scope): [string, Value][] {
    if (target.type === 'target') return [[target.name, value]];
    if (target.type === 'field') {
      const namespace = this.#named(target.namespace, scope);
      if (!(namespace instanceof Namespace)) return fail();
      if (target.name.startsWith('_')) return fail();
      namespace.names.set(target.name, value);
      return [];
    }
    const items = [...itemsOf(value)];
    if (items.length !== target.items.length) return fail();
    return target.items.flatMap((inner, i) => this.#unpacked(inner, items[i]!, scope));
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    for (const [name, part] of this.#unpacked(target, value, scope)) scope.set(name, part);
  }

  #capture({ target, filter, body }: Statement & { type: 'capture' }, scope: Scope): void {
    const inner = new Scope(body, scope, []);
    const text = this.#captured(() => this.#all(body.statements, inner));
    this.#assign(target, filter === undefined ? text : this.#filtered(filter, text, inner), scope);
  }

  #macro({ signature, body, calls }: Statement & { type: 'macro' }, scope: Scope): Callable {
    return new Callable(({ list, named }) => {
      const { caller, ...rest } = Object.fromEntries(named);
      if (caller !== undefined && !calls) return fail();
      const given = { list, named: new Map(Object.entries(rest)) };
      return this.#body(body, signature, given, scope, calls ? [['caller', caller ?? missing]] : []);
    });
  }

  #callBlock({ call, signature, body }: Statement & { type: 'call block' }, scope: Scope): void {
    const caller = new Callable((given) => this.#body(body, signature, given, scope, []));
    const { list, named } = this.#given(call.given, scope);
    const given = { list, named: new Map([...named, ['caller', caller]]) };
    this.#show(this.#called(this.#value(call.of, scope), given));
  }

  #body(
    body: Body,
    { parameters }: Signature,
    given: Arguments,
    scope: Scope,
    own: readonly (readonly [string, Value])[],
  ): Value {
    const list = inOrder(
      given,
      parameters.map(({ name }) => name),
    );
    if (list.length > parameters.length) return fail();
    const inner = new Scope(body, scope, own);
    for (const [i, { name, otherwise }] of parameters.entries()) {
      const value = list[i];
      const isGiven = i < given.list.length || given.named.has(name);
      inner.set(name, isGiven ? value! : otherwise === undefined ? missing : this.#value(otherwise, inner));
    }
    return this.#captured(() => this.#all(body.statements, inner));
  }

  #value(expression: Expression, scope: Scope): Value {
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'unsupported':
        return unsupported(expression.what);
      case 'name':
        return this.#named(expression.name, scope);
      case 'list':
        return expression.items.map((item) => this.#value(item, scope));
      case 'tuple':
        return new Tuple(expression.items.map((item) => this.#value(item, scope)));
      case 'concat':
        return joined(expression.items.map((item) => this.#value(item, scope)));
      case 'mapping':
        return new Map(
          expression.entries.map(([name, item]) => {
            const key = this.#value(name, scope);
            if (typeof key !== 'string') return unsupported('a mapping with names that are no texts');
            return [key, this.#value(item, scope)];
          }),
        );
      case 'attribute':
        return attribute(this.#value(expression.of, scope), expression.name);
      case 'item':
        return item(this.#value(expression.of, scope), this.#value(expression.at, scope));
      case 'slice': {
        const of = this.#value(expression.of, scope);
        const [from, to, step] = [0, 1, 2].map((i) => {
          const bound = expression.bounds[i];
          return bound === undefined ? null : this.#value(bound, scope);
        }) as [Value, Value, Value];
        return sliceOf(of, [from, to, step]);
      }
      case 'call': {
        const of = this.#value(expression.of, scope);
        return this.#called(of, this.#given(expression.given, scope));
      }
      case 'filter':
        return this.#filtered(expression, undefined, scope);
      case 'test':
        if (rareTests.has(expression.name)) unsupported(`the test ${this.#missing.test}`);
        return applyTest(
          expression.name,
          this.#value(expression.of, scope),
          this.#given(expression.given, scope),
        );
      case 'not':
        return !truthOf(this.#value(expression.of, scope));
      case 'minus':
      case 'plus': {
        const value = this.#value(expression.of, scope);
        const number = isNumber(value) ? numberOf(value) : fail();
        return expression.type === 'minus' ? -number : number;
      }
      case 'and': {
        const left = this.#value(expression.left, scope);
        return truthOf(left) ? this.#value(expression.right, scope) : left;
      }
      case 'or': {
        const left = this.#value(expression.left, scope);
        return truthOf(left) ? left : this.#value(expression.right, scope);
      }
      case 'arithmetic':
        return computed(
          expression.operator,
          this.#value(expression.left, scope),
          this.#value(expression.right, scope),
        );
      case 'comparison':
        return this.#compared(expression, scope);
      case 'choice': {
        if (truthOf(this.#value(expression.test, scope))) return this.#value(expression.yes, scope);
        return expression.no === undefined ? missing : this.#value(expression.no, scope);
      }
    }
  }

  #named(name: string, scope: Scope): Value {
    const own = scope.get(name);
    return own === undefined ? valueIn(this.#globals, name) : own;
  }

  #compared({ first, rest }: Expression & { type: 'comparison' }, scope: Scope): boolean {
    let left = this.#value(first, scope);
    for (const { operator, value } of rest) {
      const right = this.#value(value, scope);
      if (!holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #given({ list, named }: Given, scope: Scope): Arguments {
    return {
      list: list.map((value) => this.#value(value, scope)),
      named: new Map(named.map(([name, value]) => [name, this.#value(value, scope)])),
    };
  }

  /** @param first what the innermost filter is applied to where it stands alone */
  #filtered(expression: Expression, first: string | Dated | undefined, scope: Scope): Value {
    if (expression.type !== 'filter') return this.#value(expression, scope);
    const { of, name, given } = expression;
    if (rareFilters.has(name)) unsupported(`the filter ${this.#missing.filter}`);
    const value = of === undefined ? (first ?? fail()) : this.#filtered(of, first, scope);
    return applyFilter(name, value, this.#given(given, scope), { item });
  }

  /** Ends calls without end. */
  #called(of: Value, given: Arguments): Value {
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

/** What a loop knows of itself, looked for no earlier than it is asked. */
class Loop {
  #items: Iterator<Value>;
  #known: number | undefined;
  #at = -1;
  #after: { readonly value: Value } | undefined;
  #current: Value = missing;
  #before: Value = missing;
  #changed: readonly Value[] | undefined;
  readonly attributes: Attributes;

  constructor(items: Iterable<Value>, known: number | undefined) {
    this.#items = items[Symbol.iterator]();
    this.#known = known;
    this.attributes = new Attributes((name) => this.#attribute(name));
  }

  *[Symbol.iterator](): Generator<Value> {
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      this.#after = undefined;
      this.#at++;
      this.#before = this.#current;
      this.#current = next.value;
      yield next.value;
    }
  }

  #peek(): { readonly value: Value } | undefined {
    if (this.#after === undefined) {
      const { done, value } = this.#items.next();
      if (!done) this.#after = { value };
    }
    return this.#after;
  }

  get #length(): number {
    if (this.#known === undefined) {
      const rest: Value[] = [];
      for (let next = this.#items.next(); !next.done; next = this.#items.next()) rest.push(next.value);
      this.#items = rest[Symbol.iterator]();
      this.#known = rest.length + this.#at + 1 + (this.#after === undefined ? 0 : 1);
    }
    return this.#known;
  }

  #attribute(name: string): Value {
    switch (name) {
      case 'index':
        return BigInt(this.#at + 1);
      case 'index0':
        return BigInt(this.#at);
      case 'revindex':
        return BigInt(this.#length - this.#at);
      case 'revindex0':
        return BigInt(this.#length - this.#at - 1);
      case 'first':
        return this.#at === 0;
      case 'last':
        return this.#peek() === undefined;
      case 'length':
        return BigInt(this.#length);
      case 'depth':
        return 1n;
      case 'depth0':
        return 0n;
      case 'previtem':
        return this.#at === 0 ? missing : this.#before;
      case 'nextitem':
        return this.#peek()?.value ?? (this.#peek() === undefined ? missing : null);
      case 'cycle':
        return new Callable(({ list, named }) =>
          list.length === 0 || named.size > 0 ? fail() : list[this.#at % list.length]!,
        );
      case 'changed':
        return new Callable(({ list }) => {
          const same = this.#changed !== undefined && areEqual([...this.#changed], [...list]);
          this.#changed = list;
          return !same;
        });
      default:
        return missing;
    }
  }
}

function attribute(of: Value, name: string): Value {
  if (of instanceof Undefined) return fail();
  if (of instanceof Attributes) return of.get(name);
  if (of instanceof Namespace) return valueIn(of.names, name);
  if (of instanceof Callable) return unsupported('an attribute of a function');
  if (of instanceof Dated) return unsupported('a method of what the clock says');
  return methodOf(of, name) ?? (of instanceof Map ? valueIn(of, name) : missing);
}

const valueIn = (names: ReadonlyMap<string, Value>, name: string): Value =>
  names.has(name) ? names.get(name)! : missing;

function item(of: Value, at: Value): Value {
  if (of instanceof Undefined || of instanceof Dated || at instanceof Dated) return fail();
  if (of instanceof Map && typeof at === 'string' && of.has(at)) return of.get(at)!;
  if (typeof at === 'string')
    return at.startsWith('_') ? unsupported('a place that begins with _') : attribute(of, at);
  const items =
    typeof of === 'string' ? points(of) : of instanceof Tuple || of instanceof Range ? of.items : of;
  if (!Array.isArray(items) || !(typeof at === 'bigint' || typeof at === 'boolean'))
    return of instanceof Namespace || of instanceof Attributes || of instanceof Lazy
      ? unsupported('a place of no list')
      : missing;
  const place = Number(at);
  return (
    (items[place < 0 ? place + items.length : place] as Value | undefined) ??
    (isPlaceOf(items, place) ? null : missing)
  );
}

const isPlaceOf = (items: readonly unknown[], place: number) =>
  place < items.length && place >= -items.length;

function holds(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return areEqual(left, right);
    case '!=':
      return !areEqual(left, right);
    case 'in':
      return isIn(left, right);
    case 'not in':
      return !isIn(left, right);
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    default:
      return compare(left, right) >= 0;
  }
}

function joined(parts: readonly Value[]): Value {
  const text = parts.map((part) => (part instanceof Dated ? part.text : textOf(part))).join('');
  return parts.some((part) => part instanceof Dated) ? new Dated(text) : text;
}

function computed(operator: string, left: Value, right: Value): Value {
  if (isNumber(left) && isNumber(right)) return arithmetic(operator, numberOf(left), numberOf(right));
  if (operator === '+') {
    const isText = (value: Value) => typeof value === 'string' || value instanceof Dated;
    if (isText(left) && isText(right)) return joined([left, right]);
    if (Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  }
  if (operator === '*') {
    const [all, times] = isNumber(left) ? [right, left] : [left, right];
    if (typeof all === 'string' && (typeof times === 'bigint' || typeof times === 'boolean')) {
      const count = Math.max(Number(times), 0);
      return count * pointCount(all) > longestRepeated
        ? unsupported('a text without end')
        : all.repeat(count);
    }
    if (Array.isArray(all)) return unsupported('a list that is repeated');
  }
  return operator === '%' && typeof left === 'string' ? unsupported('a text that % fills in') : fail();
}

const whole = (value: Value): bigint =>
  typeof value === 'bigint' ? value : typeof value === 'boolean' ? BigInt(value) : fail();

/** What transformers and Jinja define for every template. */
const builtIns: Readonly<Record<string, Value>> = {
  raise_exception: new Callable(() => {
    throw new Refusal();
  }),
  range: new Callable(({ list, named }) => {
    if (list.length < 1 || list.length > 3 || named.size > 0) return fail();
    const bounds = list.map(whole);
    const [start, stop, step] = [
      bounds.length > 1 ? bounds[0]! : 0n,
      bounds[1] ?? bounds[0]!,
      bounds[2] ?? 1n,
    ];
    if (step === 0n) return fail();
    const count = (stop - start + step + (step > 0n ? -1n : 1n)) / step;
    if (count > BigInt(longestRange))
      throw new Fault(`it asks for a range of more than ${longestRange} numbers, or of none that ends`);
    const items = Array.from({ length: Math.max(Number(count), 0) }, (_, i) => start + BigInt(i) * step);
    return new Range([start, stop, step], items);
  }),
  namespace: new Callable((given) => new Namespace(namesOf(given, true))),
  dict: new Callable((given) => namesOf(given, false)),
  strftime_now: new Callable(({ list, named }) => {
    const [format] = list;
    if (list.length !== 1 || named.size > 0 || typeof format !== 'string') return fail();
    return new Dated(dateBy(format));
  }),
};

function namesOf({ list, named }: Arguments, isNamespace: boolean): Map<string, Value> {
  const [from, ...rest] = list;
  if (rest.length > 0 || (from !== undefined && !(from instanceof Map)))
    return unsupported('a mapping made of a list');
  const names = new Map([...(from ?? []), ...named]);
  if (isNamespace && [...names.keys()].some((name) => name.startsWith('_'))) return fail();
  return names;
}

const months = 'January February March April May June July August September October November December'.split(
  ' ',
);
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

function dateBy(format: string): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const [month, day] = [months[today.month - 1]!, days[today.weekday]!];
  const parts: Readonly<Record<string, string>> = {
    '%': '%',
    A: day,
    a: day.slice(0, 3),
    B: month,
    b: month.slice(0, 3),
    d: two(today.day),
    H: '12',
    I: '12',
    M: '00',
    m: two(today.month),
    p: 'PM',
    S: '00',
    Y: String(today.year),
    y: two(today.year % 100),
  };
  return format.replace(
    /%([\s\S]?)/g,
    (_, letter: string) => parts[letter] ?? unsupported('a rare part of the date'),
  );
}
