// From tokens to a tree: of Jinja's grammar what real templates use, all else is refused by its name.
import { Fault, unsupported } from './faults.ts';
import { filterNamed, testNamed } from './filters.ts';
import { bodyOf } from './id-tracking.ts';
import { type Token, tokensOf } from './lexer.ts';
import { methodNamed } from './methods.ts';
import {
  type Body,
  type Expression,
  type LoopName,
  loopNames,
  nodesIn,
  type Parameter,
  type Statement,
  type Target,
} from './nodes.ts';
import { bounded } from './values.ts';

/** @throws Fault where it is no Jinja, or uses what this interpreter has not */
export function parse(template: string): Body {
  const body = new Parser(tokensOf(template)).template();
  checkPassing(body);
  return body;
}

const comparisons: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);
const constants: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);
/** What transformers gives to every template; no template has a name of its own like these. */
export const givenNames = ['raise_exception', 'range', 'namespace', 'dict', 'strftime_now'] as const;
const reserved: ReadonlySet<string> = new Set([...givenNames, 'loop', 'caller', 'varargs', 'kwargs', 'self']);
const textFilters = /^(capitalize|lower|string|title|tojson|trim|upper|length)$/;

/** Where statements stand: break ends a loop of the same function, generation tags are those of what is written at once. */
interface Place {
  readonly inLoop: boolean;
  readonly isWritten: boolean;
  /** Outside of everything but `if`. */
  readonly isTop: boolean;
}
const inside: Place = { inLoop: false, isWritten: false, isTop: false };

interface Given {
  readonly list: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  readonly hasStar: boolean;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  template(): Body {
    return bodyOf(this.#statements([], { inLoop: false, isWritten: true, isTop: true }));
  }

  get #token(): Token {
    return this.#tokens[this.#at] ?? { type: 'eof', text: '' };
  }

  #is(text: string, type: Token['type'] = 'operator'): boolean {
    return this.#token.type === type && this.#token.text === text;
  }

  #skip(text: string, type: Token['type'] = 'operator'): boolean {
    const found = this.#is(text, type);
    if (found) this.#at++;
    return found;
  }

  #expect(type: Token['type'], text?: string): string {
    const token = this.#token;
    if (token.type !== type || (text !== undefined && token.text !== text))
      throw new Fault(`it is no Jinja: ${text ?? type} is missing`);
    this.#at++;
    return token.text;
  }

  /** Up to a tag of one of these names, whose name is not taken. */
  #statements(ends: readonly string[], place: Place): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const token = this.#token;
      if (token.type === 'eof') {
        if (ends.length === 0) return statements;
        throw new Fault(`it is no Jinja: ${ends.at(-1)} is missing`);
      }
      this.#at++;
      if (token.type === 'data') statements.push({ type: 'data', text: token.text });
      else if (token.type === 'begin' && token.text === 'variable') {
        const value = this.#expression();
        if (this.#is(',')) unsupported('a tuple');
        this.#expect('end', 'variable');
        statements.push({ type: 'write', value: withoutSafe(value) });
      } else {
        if (ends.includes(this.#token.text)) return statements;
        statements.push(this.#statement(this.#expect('name'), place));
      }
    }
  }

  #end(): void {
    this.#expect('end', 'block');
  }

  /** Statements up to the tag that ends them, and this tag. */
  #until(end: string, place: Place): Statement[] {
    this.#end();
    const statements = this.#statements([end], place);
    this.#at++;
    this.#end();
    return statements;
  }

  #statement(tag: string, place: Place): Statement {
    switch (tag) {
      case 'for':
        return this.#for(place);
      case 'if':
        return this.#if(place);
      case 'set':
        return this.#set();
      case 'macro':
        return place.isTop ? this.#macro() : unsupported('a macro inside of anything but if');
      case 'call':
        return this.#callBlock();
      case 'generation':
        if (!place.isWritten) unsupported('generation tags inside what is not written at once');
        return { type: 'generation', body: bodyOf(this.#until('endgeneration', inside)) };
      case 'break':
      case 'continue':
        if (!place.inLoop) unsupported(`${tag} outside of a loop's own body`);
        this.#end();
        return { type: tag };
      default:
        return /^(block|extends|print|include|from|import|with|autoescape|filter)$/.test(tag)
          ? unsupported(`the tag ${tag}`)
          : this.#unknownTag();
    }
  }

  #unknownTag(): never {
    throw new Fault('it is no Jinja: one of its tags is unknown');
  }

  #for(place: Place): Statement {
    const targets = [this.#ownName()];
    if (this.#skip(',')) targets.push(this.#ownName());
    if (this.#is(',')) unsupported('more than two names of a loop');
    this.#expect('name', 'in');
    const of = this.#or();
    if ((of.type === 'pairs') !== (targets.length === 2) || this.#is(','))
      unsupported('a loop with two names over anything but items, or with one over these');
    const test = this.#skip('if', 'name') ? this.#expression() : undefined;
    for (const node of nodesIn(test))
      if (node.type === 'loop') unsupported('loop in the condition of a loop');
    if (this.#is('recursive', 'name')) unsupported('a recursive loop');
    this.#end();
    const own = { ...place, inLoop: true, isTop: false };
    const body = this.#statements(['else', 'endfor'], own);
    if (of.type === 'pairs' && namesNeighbours(body)) unsupported('loop.previtem or loop.nextitem of pairs');
    const hasElse = this.#expect('name') === 'else';
    if (hasElse && leaves(body)) unsupported('break or continue in a loop with else');
    const otherwise = hasElse ? this.#until('endfor', { ...place, isTop: false }) : [];
    if (!hasElse) this.#end();
    return { type: 'for', targets, of, test, body: bodyOf(body, targets), otherwise: bodyOf(otherwise) };
  }

  #if(place: Place): Statement {
    const branches: { test: Expression; statements: Statement[] }[] = [];
    let next = 'elif';
    while (next === 'elif') {
      const test = this.#or();
      this.#end();
      branches.push({ test, statements: this.#statements(['elif', 'else', 'endif'], place) });
      next = this.#expect('name');
    }
    const otherwise = next === 'else' ? this.#until('endif', place) : [];
    if (next !== 'else') this.#end();
    return { type: 'if', branches, otherwise };
  }

  #set(): Statement {
    const target = this.#target();
    if (this.#skip('=')) {
      const value = this.#expression();
      if (this.#is(',')) unsupported('a tuple');
      this.#end();
      return { type: 'set', target, value };
    }
    if (this.#is('|')) unsupported('a filter of a set block');
    return { type: 'capture', target, body: bodyOf(this.#until('endset', inside)) };
  }

  #target(): Target {
    const name = this.#expect('name');
    if (this.#skip('.')) {
      const field = this.#expect('name');
      if (field.startsWith('_')) unsupported('an attribute that begins with _');
      return { type: 'field', namespace: name, name: field };
    }
    this.#at--;
    const target: Target = { type: 'target', name: this.#ownName() };
    if (this.#is(',')) unsupported('several names that are set at once');
    return target;
  }

  /** A name that a template gives a value. */
  #ownName(): string {
    if (this.#is('(')) unsupported('a tuple');
    const name = this.#expect('name');
    if (constants.has(name)) this.#unknownTag();
    return reserved.has(name) ? unsupported(`${name} as a name of its own`) : name;
  }

  #macro(): Statement {
    const name = this.#ownName();
    const parameters = this.#parameters();
    const statements = this.#until('endmacro', inside);
    const body = bodyOf(
      statements,
      parameters.map((parameter) => parameter.name),
    );
    return { type: 'macro', name, parameters, body };
  }

  /** Real templates have these in what they do with tools. */
  #callBlock(): Statement {
    if (this.#is('(')) this.#parameters();
    const { type } = this.#expression();
    if (type !== 'call' && type !== 'unsupported') return this.#unknownTag();
    this.#until('endcall', inside);
    return { type: 'unsupported', what: 'the tag call' };
  }

  #parameters(): Parameter[] {
    this.#expect('operator', '(');
    const parameters: Parameter[] = [];
    while (!this.#is(')')) {
      if (parameters.length > 0) this.#expect('operator', ',');
      const name = this.#ownName();
      const otherwise = this.#skip('=') ? this.#expression() : undefined;
      if (otherwise !== undefined && otherwise.type !== 'constant')
        return unsupported('a default of a macro that is no constant');
      const isOptional = parameters.at(-1)?.otherwise !== undefined;
      if ((otherwise === undefined && isOptional) || parameters.some((other) => other.name === name))
        this.#unknownTag();
      parameters.push({ name, otherwise: otherwise?.value });
    }
    this.#at++;
    return parameters;
  }

  #expression(): Expression {
    let value = this.#or();
    while (this.#skip('if', 'name')) {
      const test = this.#or();
      const no = this.#skip('else', 'name') ? this.#expression() : undefined;
      value = { type: 'choice', test, yes: value, no };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#skip('or', 'name')) left = { type: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#skip('and', 'name')) left = { type: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    return this.#skip('not', 'name') ? { type: 'not', of: this.#not() } : this.#comparison();
  }

  #comparison(): Expression {
    const left = this.#sum();
    const operator = this.#comparisonOperator();
    if (operator === undefined) return left;
    const isIn = /in$/.test(operator);
    const right = isIn && this.#is('(') ? (this.#tuple() ?? this.#sum()) : this.#sum();
    if (this.#comparisonOperator() !== undefined) unsupported('a chain of comparisons');
    return { type: 'comparison', operator, left, right };
  }

  #comparisonOperator(): string | undefined {
    const { type, text } = this.#token;
    if (type === 'operator' && comparisons.has(text)) {
      this.#at++;
      return text;
    }
    if (this.#skip('in', 'name')) return 'in';
    const isNotIn = this.#is('not', 'name') && this.#tokens[this.#at + 1]?.text === 'in';
    if (isNotIn) this.#at += 2;
    return isNotIn ? 'not in' : undefined;
  }

  /** Texts in brackets, which are a list here; nothing is taken where it is another expression. */
  #tuple(): Expression | undefined {
    const from = this.#at;
    const items: Expression[] = [];
    this.#expect('operator', '(');
    let hasComma = false;
    while (this.#token.type === 'string') {
      items.push({ type: 'constant', value: this.#expect('string') });
      if (!this.#skip(',')) break;
      hasComma = true;
    }
    if (hasComma && this.#skip(')')) return { type: 'list', items };
    this.#at = from;
    return undefined;
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const items = [this.#product()];
    while (this.#skip('~')) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: 'concat', items };
  }

  #product(): Expression {
    const value = this.#binary(['*', '//', '%'], () => this.#unary());
    return this.#is('/') || this.#is('**') ? unsupported(`the operator ${this.#token.text}`) : value;
  }

  #binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.#token.type === 'operator' && operators.includes(this.#token.text)) {
      const { text: operator } = this.#token;
      this.#at++;
      left = { type: 'arithmetic', operator, left, right: operand() };
    }
    return left;
  }

  #unary(withFilters = true): Expression {
    if (this.#is('+')) unsupported('a sign +');
    const value: Expression = this.#skip('-') ? { type: 'minus', of: this.#unary(false) } : this.#primary();
    const behind = this.#postfix(value);
    return withFilters ? this.#filtered(behind) : behind;
  }

  #primary(): Expression {
    const { type, text } = this.#token;
    this.#at++;
    switch (type) {
      case 'name':
        return this.#name(text);
      case 'string': {
        let value = text;
        while (this.#token.type === 'string') value += this.#expect('string');
        return { type: 'constant', value };
      }
      case 'integer':
        return { type: 'constant', value: bounded(BigInt(text.replaceAll('_', ''))) };
      case 'float':
        return unsupported('a number with a point');
    }
    if (text === '(' && type === 'operator') {
      if (this.#is(')')) unsupported('a tuple');
      const value = this.#expression();
      if (this.#is(',')) unsupported('a tuple');
      this.#expect('operator', ')');
      return value;
    }
    if (text === '[' && type === 'operator')
      return { type: 'list', items: this.#listed(']', () => this.#expression()) };
    if (text === '{' && type === 'operator') {
      const entries = this.#listed('}', () => {
        const name = this.#expression();
        this.#expect('operator', ':');
        if (name.type !== 'constant' || typeof name.value !== 'string')
          return unsupported('a mapping with names that are no texts');
        return [name.value, this.#expression()] as const;
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
    if (!this.#skip('.')) return unsupported('loop as a value');
    const name = this.#expect('name');
    return (loopNames as readonly string[]).includes(name)
      ? { type: 'loop', name: name as LoopName }
      : unsupported(`loop.${name}`);
  }

  /** With commas between them, and one behind the last if there is. */
  #listed<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#skip(end)) {
      if (items.length > 0) this.#expect('operator', ',');
      if (this.#skip(end)) break;
      items.push(item());
    }
    return items;
  }

  #postfix(value: Expression): Expression {
    let behind = value;
    for (;;) {
      if (this.#skip('.')) behind = this.#attribute(behind);
      else if (this.#skip('[')) behind = this.#subscript(behind);
      else if (this.#is('(')) behind = this.#call(behind);
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
    const { type, text } = this.#token;
    this.#at++;
    if (type === 'integer') return { type: 'item', of, at: { type: 'constant', value: BigInt(text) } };
    if (type !== 'name') throw new Fault('it is no Jinja: a name is missing behind a dot');
    if (text.startsWith('_')) unsupported('an attribute that begins with _');
    return { type: 'attribute', of, name: text };
  }

  #subscript(of: Expression): Expression {
    if (!this.#is(':')) {
      const at = this.#expression();
      if (this.#skip(']')) return { type: 'item', of, at };
      if (this.#is(',')) unsupported('several places in brackets');
      return this.#slice(of, at);
    }
    return this.#slice(of, undefined);
  }

  #slice(of: Expression, from: Expression | undefined): Expression {
    this.#expect('operator', ':');
    const bound = () => (this.#is(':') || this.#is(']') ? undefined : this.#expression());
    const to = bound();
    const step = this.#skip(':') ? bound() : undefined;
    this.#expect('operator', ']');
    return { type: 'slice', of, bounds: [from, to, step] };
  }

  #arguments(ofFilter = false): Given {
    this.#expect('operator', '(');
    const list: Expression[] = [];
    const named: [string, Expression][] = [];
    let hasStar = false;
    this.#listed(')', () => {
      if (this.#skip('*') || this.#skip('**')) {
        this.#expression();
        hasStar = true;
      } else if (this.#token.type === 'name' && this.#tokens[this.#at + 1]?.text === '=') {
        const name = this.#expect('name');
        this.#at++;
        if (named.some(([other]) => other === name)) this.#unknownTag();
        // The only tuple that real templates give: what stands between JSON's parts.
        const tuple = ofFilter && name === 'separators' && this.#is('(') ? this.#tuple() : undefined;
        named.push([name, tuple ?? this.#expression()]);
      } else if (named.length > 0) throw new Fault('it is no Jinja: an argument stands behind named ones');
      else list.push(this.#expression());
    });
    return { list, named, hasStar };
  }

  #filtered(value: Expression): Expression {
    let behind = value;
    for (;;) {
      if (this.#skip('|')) behind = this.#filter(behind);
      else if (this.#skip('is', 'name')) behind = this.#test(behind);
      else if (this.#is('(')) behind = this.#call(behind);
      else return behind;
    }
  }

  #filter(of: Expression): Expression {
    const name = this.#expect('name');
    if (this.#is('.')) unsupported('a filter with a dot in its name');
    const given = this.#is('(') ? this.#arguments(true) : { list: [], named: [], hasStar: false };
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
    const negated = this.#skip('not', 'name');
    const name = this.#expect('name');
    const found = testNamed(name);
    if (found === undefined) return unsupported(`the test ${name}`);
    // As Jinja has it: what follows a test is its argument, also where it was meant as something else.
    const { type, text } = this.#token;
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

/** What is gone through at once stands nowhere else: a variable of it would be gone through once, and late. */
function checkPassing(tree: Body): void {
  const right = new Set<Expression>();
  const passing = /^(range|pairs|map|select)$/;
  for (const node of nodesIn(tree)) {
    if (node.type === 'for') right.add(node.of);
    const takesAll = node.type === 'filter' && filterNamed(node.name)!.takesAll;
    if (takesAll || node.type === 'map' || node.type === 'select') {
      if (node.of.type === 'pairs') unsupported('items anywhere but in a loop with two names');
      right.add(node.of);
    }
    if (passing.test(node.type) && !right.has(node as Expression))
      unsupported(`${node.type === 'pairs' ? 'items' : node.type} of what is not gone through at once`);
  }
}

/** Whether a loop's own body may end an iteration early: Jinja takes a loop that has ended none for one without items. */
function leaves(statements: readonly Statement[]): boolean {
  return statements.some((statement) => {
    if (statement.type !== 'if') return /^(break|continue)$/.test(statement.type);
    return [statement.otherwise, ...statement.branches.map((branch) => branch.statements)].some(leaves);
  });
}

/** Whether a body, or one in it, asks for what stands before or behind: of pairs these are tuples, which nothing else here is. */
function namesNeighbours(body: readonly Statement[]): boolean {
  return [...nodesIn(body)].some((node) => node.type === 'loop' && /item$/.test(node.name));
}

/** `safe` is nothing where its value is written at once; elsewhere it would change what is put together with it. */
function withoutSafe(value: Expression): Expression {
  if (value.type === 'safe') return withoutSafe(value.of);
  return value.type === 'choice'
    ? { ...value, yes: withoutSafe(value.yes), no: value.no && withoutSafe(value.no) }
    : value;
}
