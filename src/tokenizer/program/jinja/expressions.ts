// Expressions: of Jinja's grammar what real templates use, all else is refused by its name.
import type { Cursor } from './cursor.ts';
import { Fault, unsupported } from './faults.ts';
import { filterNamed, testNamed } from './filters.ts';
import { methodNamed } from './methods.ts';
import { type Expression, type LoopName, loopNames } from './nodes.ts';
import { bounded } from './values.ts';

const comparisons: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);
export const constants: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);
/** What transformers gives to every template; no template has a name of its own like these. */
export const givenNames = ['raise_exception', 'range', 'namespace', 'dict', 'strftime_now'] as const;
/** No template gives these a value. */
export const reserved: ReadonlySet<string> = new Set([
  ...givenNames,
  'loop',
  'caller',
  'varargs',
  'kwargs',
  'self',
]);
const textFilters = /^(capitalize|lower|string|title|tojson|trim|upper|length)$/;

interface Given {
  readonly list: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  readonly hasStar: boolean;
}

export class Expressions {
  readonly #tokens: Cursor;

  constructor(tokens: Cursor) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    let value = this.unconditional();
    while (this.#tokens.skip('if', 'name')) {
      const test = this.unconditional();
      const no = this.#tokens.skip('else', 'name') ? this.whole() : undefined;
      value = { type: 'choice', test, yes: value, no };
    }
    return value;
  }

  /** All but a choice by `if`. */
  unconditional(): Expression {
    let left = this.#and();
    while (this.#tokens.skip('or', 'name')) left = { type: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#tokens.skip('and', 'name')) left = { type: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    return this.#tokens.skip('not', 'name') ? { type: 'not', of: this.#not() } : this.#comparison();
  }

  #comparison(): Expression {
    const left = this.#sum();
    const operator = this.#comparisonOperator();
    if (operator === undefined) return left;
    const isIn = /in$/.test(operator);
    const right = isIn && this.#tokens.is('(') ? (this.#tuple() ?? this.#sum()) : this.#sum();
    if (this.#comparisonOperator() !== undefined) unsupported('a chain of comparisons');
    return { type: 'comparison', operator, left, right };
  }

  #comparisonOperator(): string | undefined {
    const { type, text } = this.#tokens.token;
    if (type === 'operator' && comparisons.has(text)) {
      this.#tokens.take();
      return text;
    }
    if (this.#tokens.skip('in', 'name')) return 'in';
    if (!(this.#tokens.is('not', 'name') && this.#tokens.isBehind('in', 'name'))) return undefined;
    this.#tokens.take();
    this.#tokens.take();
    return 'not in';
  }

  /** Texts in brackets, which are a list here; nothing is taken where it is another expression. */
  #tuple(): Expression | undefined {
    return this.#tokens.attempt(() => {
      const items: Expression[] = [];
      this.#tokens.expect('operator', '(');
      let hasComma = false;
      while (this.#tokens.token.type === 'string') {
        items.push({ type: 'constant', value: this.#tokens.expect('string') });
        if (!this.#tokens.skip(',')) break;
        hasComma = true;
      }
      return hasComma && this.#tokens.skip(')') ? { type: 'list', items } : undefined;
    });
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const items = [this.#product()];
    while (this.#tokens.skip('~')) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: 'concat', items };
  }

  #product(): Expression {
    const value = this.#binary(['*', '//', '%'], () => this.#unary());
    return this.#tokens.is('/') || this.#tokens.is('**')
      ? unsupported(`the operator ${this.#tokens.token.text}`)
      : value;
  }

  #binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.#tokens.token.type === 'operator' && operators.includes(this.#tokens.token.text)) {
      const { text: operator } = this.#tokens.take();
      left = { type: 'arithmetic', operator, left, right: operand() };
    }
    return left;
  }

  #unary(withFilters = true): Expression {
    if (this.#tokens.is('+')) unsupported('a sign +');
    const value: Expression = this.#tokens.skip('-')
      ? { type: 'minus', of: this.#unary(false) }
      : this.#primary();
    const behind = this.#postfix(value);
    return withFilters ? this.#filtered(behind) : behind;
  }

  #primary(): Expression {
    const { type, text } = this.#tokens.take();
    switch (type) {
      case 'name':
        return this.#name(text);
      case 'string': {
        let value = text;
        while (this.#tokens.token.type === 'string') value += this.#tokens.expect('string');
        return { type: 'constant', value };
      }
      case 'integer':
        return { type: 'constant', value: bounded(BigInt(text.replaceAll('_', ''))) };
      case 'float':
        return unsupported('a number with a point');
    }
    if (text === '(' && type === 'operator') {
      if (this.#tokens.is(')')) unsupported('a tuple');
      const value = this.whole();
      if (this.#tokens.is(',')) unsupported('a tuple');
      this.#tokens.expect('operator', ')');
      return value;
    }
    if (text === '[' && type === 'operator')
      return { type: 'list', items: this.#tokens.listed(']', () => this.whole()) };
    if (text === '{' && type === 'operator') {
      const entries = this.#tokens.listed('}', () => {
        const name = this.whole();
        this.#tokens.expect('operator', ':');
        if (name.type !== 'constant' || typeof name.value !== 'string')
          return unsupported('a mapping with names that are no texts');
        return [name.value, this.whole()] as const;
      });
      return { type: 'mapping', entries };
    }
    throw new Fault('it is no Jinja: an expression is missing');
  }

  #name(text: string): Expression {
    const constant = constants.get(text);
    if (constant !== undefined) return { type: 'constant', value: constant };
    if (/^(lipsum|cycler|joiner|self|varargs|kwargs)$/.test(text)) return unsupported(text);
    // Real templates have this in what they do with tools.
    if (text === 'caller') return { type: 'unsupported', what: text };
    return text === 'loop' ? this.#loop() : { type: 'name', name: text };
  }

  #loop(): Expression {
    if (!this.#tokens.skip('.')) return unsupported('loop as a value');
    const name = this.#tokens.expect('name');
    return (loopNames as readonly string[]).includes(name)
      ? { type: 'loop', name: name as LoopName }
      : unsupported(`loop.${name}`);
  }

  #postfix(value: Expression): Expression {
    let behind = value;
    for (;;) {
      if (this.#tokens.skip('.')) behind = this.#attribute(behind);
      else if (this.#tokens.skip('[')) behind = this.#subscript(behind);
      else if (this.#tokens.is('(')) behind = this.#call(behind);
      else return behind;
    }
  }

  #call(of: Expression): Expression {
    const { list, named, hasStar } = this.#arguments();
    if (hasStar || of.type === 'unsupported')
      return { type: 'unsupported', what: 'a call of what has no name' };
    if (of.type === 'attribute') return methodCall(of, { list, named, hasStar });
    if (of.type !== 'name') throw new Fault('it calls what is no function, which is not given to templates');
    const { name } = of;
    if (/^(namespace|dict)$/.test(name) ? list.length > 0 : reserved.has(name) && named.length > 0)
      unsupported(`${name} with such arguments`);
    if (name === 'range')
      return list.length > 0 && list.length < 4
        ? { type: 'range', bounds: list }
        : unsupported('range with such arguments');
    return { type: 'call', name, list, named };
  }

  #attribute(of: Expression): Expression {
    const { type, text } = this.#tokens.take();
    if (type === 'integer') return { type: 'item', of, at: { type: 'constant', value: BigInt(text) } };
    if (type !== 'name') throw new Fault('it is no Jinja: a name is missing behind a dot');
    if (text.startsWith('_')) unsupported('an attribute that begins with _');
    return { type: 'attribute', of, name: text };
  }

  #subscript(of: Expression): Expression {
    if (!this.#tokens.is(':')) {
      const at = this.whole();
      if (this.#tokens.skip(']')) return { type: 'item', of, at };
      if (this.#tokens.is(',')) unsupported('several places in brackets');
      return this.#slice(of, at);
    }
    return this.#slice(of, undefined);
  }

  #slice(of: Expression, from: Expression | undefined): Expression {
    this.#tokens.expect('operator', ':');
    const bound = () => (this.#tokens.is(':') || this.#tokens.is(']') ? undefined : this.whole());
    const to = bound();
    const step = this.#tokens.skip(':') ? bound() : undefined;
    this.#tokens.expect('operator', ']');
    return { type: 'slice', of, bounds: [from, to, step] };
  }

  #arguments(ofFilter = false): Given {
    this.#tokens.expect('operator', '(');
    const list: Expression[] = [];
    const named: [string, Expression][] = [];
    let hasStar = false;
    this.#tokens.listed(')', () => {
      if (this.#tokens.skip('*') || this.#tokens.skip('**')) {
        this.whole();
        hasStar = true;
      } else if (this.#tokens.token.type === 'name' && this.#tokens.isBehind('=')) {
        const name = this.#tokens.expect('name');
        this.#tokens.take();
        if (named.some(([other]) => other === name))
          throw new Fault('it is no Jinja: an argument is named twice');
        // The only tuple that real templates give: what stands between JSON's parts.
        const tuple = ofFilter && name === 'separators' && this.#tokens.is('(') ? this.#tuple() : undefined;
        named.push([name, tuple ?? this.whole()]);
      } else if (named.length > 0) throw new Fault('it is no Jinja: an argument stands behind named ones');
      else list.push(this.whole());
    });
    return { list, named, hasStar };
  }

  #filtered(value: Expression): Expression {
    let behind = value;
    for (;;) {
      if (this.#tokens.skip('|')) behind = this.#filter(behind);
      else if (this.#tokens.skip('is', 'name')) behind = this.#test(behind);
      else if (this.#tokens.is('(')) behind = this.#call(behind);
      else return behind;
    }
  }

  #filter(of: Expression): Expression {
    const name = this.#tokens.expect('name');
    if (this.#tokens.is('.')) unsupported('a filter with a dot in its name');
    const given = this.#tokens.is('(') ? this.#arguments(true) : { list: [], named: [], hasStar: false };
    if (given.hasStar) unsupported('a filter with such arguments');
    const asks = given.list.length + given.named.length > 0;
    switch (name) {
      case 'items':
      case 'dictsort':
        return asks ? unsupported(`the filter ${name} with arguments`) : { type: 'pairs', of, name };
      case 'map':
        return mapOf(of, given);
      case 'select':
      case 'reject':
        return selectOf(of, given, { wanted: name === 'select', hasAttribute: false });
      case 'selectattr':
      case 'rejectattr':
        return selectOf(of, given, { wanted: name === 'selectattr', hasAttribute: true });
      // Where it is not written at once, it would change what is put together with it.
      case 'safe':
        return { type: 'safe', of };
    }
    const found = filterNamed(name);
    if (found === undefined) return unsupported(`the filter ${name}`);
    const places = [...given.list, ...found.names.slice(given.list.length).map(() => undefined)];
    const inOrder: (Expression | undefined)[] = places;
    for (const [own, value] of given.named) {
      const at = found.names.indexOf(own);
      if (at < given.list.length) return unsupported(`the filter ${name} with such arguments`);
      inOrder[at] = value;
    }
    if (inOrder.length > found.names.length || inOrder.slice(0, found.least).includes(undefined))
      return unsupported(`the filter ${name} with such arguments`);
    return { type: 'filter', of, name, given: inOrder };
  }

  #test(of: Expression): Expression {
    const negated = this.#tokens.skip('not', 'name');
    const name = this.#tokens.expect('name');
    const found = testNamed(name);
    if (found === undefined) return unsupported(`the test ${name}`);
    // As Jinja has it: what follows a test is its argument, also where it was meant as something else.
    const { type, text } = this.#tokens.token;
    const isArgument =
      /^(string|integer|float)$/.test(type) ||
      /^[[({.]$/.test(text) ||
      (type === 'name' && !/^(else|or|and)$/.test(text));
    if (found.hasOther || isArgument) return unsupported('a test with an argument');
    const test: Expression = { type: 'test', of, name };
    return negated ? { type: 'not', of: test } : test;
  }
}

function methodCall({ of, name }: Expression & { type: 'attribute' }, { list, named }: Given): Expression {
  if (name === 'items' && list.length + named.length === 0) return { type: 'pairs', of, name: 'items()' };
  const method = methodNamed(name);
  if (method === undefined) throw new Fault(`it calls ${name}, which is not given to templates`);
  const [least, most] = method.takes;
  if (named.length > 0 || list.length < least || list.length > most)
    return unsupported(`the method ${name} with such arguments`);
  return { type: 'method', of, name, given: list };
}

const isPath = (value: unknown): value is string =>
  typeof value === 'string' && /^[A-Za-z]\w*(\.[A-Za-z]\w*)*$/.test(value);
const constantOf = (value: Expression | undefined) => (value?.type === 'constant' ? value.value : undefined);

function mapOf(of: Expression, { list, named }: Given): Expression {
  const [filter] = list.map(constantOf);
  const [name, value] = named[0] ?? [];
  const attribute = constantOf(value);
  if (list.length === 0 && named.length === 1 && name === 'attribute' && isPath(attribute))
    return { type: 'map', of, attribute };
  return list.length === 1 && named.length === 0 && typeof filter === 'string' && textFilters.test(filter)
    ? { type: 'map', of, filter }
    : unsupported('the filter map with such arguments');
}

function selectOf(
  of: Expression,
  { list, named }: Given,
  { wanted, hasAttribute }: { wanted: boolean; hasAttribute: boolean },
): Expression {
  const [first, second, other, ...more] = hasAttribute ? list : [undefined, ...list];
  const [attribute, test] = [constantOf(first), constantOf(second)];
  const found = typeof test === 'string' ? testNamed(test) : undefined;
  const isRight =
    (attribute === undefined ? !hasAttribute : isPath(attribute)) &&
    (second === undefined || found !== undefined) &&
    (other !== undefined) === (found?.hasOther ?? false);
  if (!isRight || named.length > 0 || more.length > 0)
    return unsupported('a filter that selects with such arguments');
  return {
    type: 'select',
    of,
    attribute: attribute as string | undefined,
    test: test as string | undefined,
    other,
    wanted,
  };
}
