// From tokens to a tree, by Jinja's grammar.
import { Fault, unsupported } from './faults.ts';
import { bodyOf, usesName } from './id-tracking.ts';
import { type Token, tokensOf } from './lexer.ts';
import type { Body, Expression, Given, Signature, Statement, Target } from './nodes.ts';

/** @throws Fault where it is no Jinja, or uses what this interpreter has not */
export function parse(template: string): Body {
  return new Parser(tokensOf(template)).template();
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
/** Where statements stand: break ends a loop of the same function, generation tags are those of what is written at once. */
interface Place {
  readonly inLoop: boolean;
  readonly isWritten: boolean;
}
const inside: Place = { inLoop: false, isWritten: false };

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  template(): Body {
    const statements = this.#statements([], { inLoop: false, isWritten: true });
    return bodyOf(statements);
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
        const value = this.#tuple();
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
        return this.#macro();
      case 'call':
        return this.#callBlock();
      case 'filter': {
        const filter = this.#filters(undefined, true)!;
        return {
          type: 'filter block',
          filter,
          body: bodyOf(this.#until('endfilter', inside), { also: [filter] }),
        };
      }
      case 'generation':
        if (!place.isWritten) unsupported('generation tags inside what is not written at once');
        return { type: 'generation', body: bodyOf(this.#until('endgeneration', inside)) };
      case 'break':
      case 'continue':
        if (!place.inLoop) unsupported(`${tag} outside of a loop's own body`);
        this.#end();
        return { type: tag };
      default:
        return /^(block|extends|print|include|from|import|with|autoescape)$/.test(tag)
          ? unsupported(`the tag ${tag}`)
          : this.#unknownTag();
    }
  }

  #unknownTag(): never {
    throw new Fault('it is no Jinja: one of its tags is unknown');
  }

  #for(place: Place): Statement {
    const target = this.#targets(['in']);
    this.#expect('name', 'in');
    const of = this.#tuple({ withChoice: false, ends: ['recursive'] });
    const test = this.#skip('if', 'name') ? this.#expression() : undefined;
    if (this.#is('recursive', 'name')) unsupported('a recursive loop');
    this.#end();
    const body = this.#statements(['else', 'endfor'], { ...place, inLoop: true });
    const hasElse = this.#expect('name') === 'else';
    if (hasElse && leaves(body)) unsupported('break or continue in a loop with else');
    const otherwise = hasElse ? this.#until('endfor', place) : [];
    if (!hasElse) this.#end();
    const counts = usesName(body, 'loop');
    return {
      type: 'for',
      target,
      of,
      test,
      body: bodyOf(body, { parameters: [...namesIn(target), ...(counts ? ['loop'] : [])] }),
      otherwise: bodyOf(otherwise),
      counts,
    };
  }

  #if(place: Place): Statement {
    const branches: { test: Expression; statements: Statement[] }[] = [];
    let next = 'elif';
    while (next === 'elif') {
      const test = this.#tuple({ withChoice: false });
      this.#end();
      branches.push({ test, statements: this.#statements(['elif', 'else', 'endif'], place) });
      next = this.#expect('name');
    }
    const otherwise = next === 'else' ? this.#until('endif', place) : [];
    if (next !== 'else') this.#end();
    return { type: 'if', branches, otherwise };
  }

  #set(): Statement {
    const target = this.#targets([], true);
    if (this.#skip('=')) {
      const value = this.#tuple();
      this.#end();
      return { type: 'set', target, value };
    }
    const filter = this.#filters(undefined);
    return { type: 'capture', target, filter, body: bodyOf(this.#until('endset', inside)) };
  }

  #macro(): Statement {
    const name = this.#expect('name');
    const signature = this.#signature();
    const statements = this.#until('endmacro', inside);
    const asked = (word: string) => usesName(statements, word);
    if (asked('varargs') || asked('kwargs')) unsupported('varargs or kwargs of a macro');
    const parameters = [...signature.parameters.map((parameter) => parameter.name), 'caller'];
    const also = signature.parameters.flatMap(({ otherwise }) => otherwise ?? []);
    return {
      type: 'macro',
      name,
      signature,
      body: bodyOf(statements, { parameters, also }),
      calls: asked('caller'),
    };
  }

  #callBlock(): Statement {
    const signature = this.#is('(') ? this.#signature() : { parameters: [] };
    const call = this.#expression();
    if (call.type !== 'call') return this.#unknownTag();
    const statements = this.#until('endcall', inside);
    const parameters = signature.parameters.map((parameter) => parameter.name);
    const also = signature.parameters.flatMap(({ otherwise }) => otherwise ?? []);
    return { type: 'call block', call, signature, body: bodyOf(statements, { parameters, also }) };
  }

  #signature(): Signature {
    this.#expect('operator', '(');
    const parameters: { name: string; otherwise: Expression | undefined }[] = [];
    while (!this.#is(')')) {
      if (parameters.length > 0) this.#expect('operator', ',');
      const name = this.#expect('name');
      const otherwise = this.#skip('=') ? this.#expression() : undefined;
      if (otherwise === undefined && parameters.at(-1)?.otherwise !== undefined) this.#unknownTag();
      parameters.push({ name, otherwise });
    }
    this.#at++;
    return { parameters };
  }

  #targets(ends: readonly string[], withFields = false): Target {
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (items.length > 0 && (this.#is('=') || ends.includes(this.#token.text))) break;
      items.push(this.#target(withFields && items.length === 0));
      if (this.#is(',')) isTuple = true;
    } while (this.#skip(','));
    return isTuple ? { type: 'targets', items } : items[0]!;
  }

  #target(withFields: boolean): Target {
    if (this.#skip('(')) {
      const inner = this.#targets([')']);
      this.#expect('operator', ')');
      return inner;
    }
    const name = this.#expect('name');
    if (constants.has(name)) this.#unknownTag();
    if (withFields && this.#skip('.')) return { type: 'field', namespace: name, name: this.#expect('name') };
    if (/^(loop|caller|varargs|kwargs|self)$/.test(name)) unsupported(`${name} as a name of its own`);
    return { type: 'target', name };
  }

  /** Expressions with commas between them are a tuple. */
  #tuple({
    withChoice = true,
    ends = [],
  }: {
    withChoice?: boolean;
    ends?: readonly string[];
  } = {}): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#endsTuple(ends)) {
      items.push(withChoice ? this.#expression() : this.#or());
      if (!this.#skip(',')) break;
      isTuple = true;
    }
    if (items.length === 0) throw new Fault('it is no Jinja: an expression is missing');
    return isTuple ? { type: 'tuple', items } : items[0]!;
  }

  #endsTuple(ends: readonly string[]): boolean {
    const { type, text } = this.#token;
    return type === 'end' || this.#is(')') || (type === 'name' && ends.includes(text));
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
    const first = this.#sum();
    const rest: { operator: string; value: Expression }[] = [];
    for (;;) {
      const { type, text } = this.#token;
      if (type === 'operator' && comparisons.has(text)) {
        this.#at++;
        rest.push({ operator: text, value: this.#sum() });
      } else if (this.#skip('in', 'name')) rest.push({ operator: 'in', value: this.#sum() });
      else if (this.#is('not', 'name') && this.#tokens[this.#at + 1]?.text === 'in') {
        this.#at += 2;
        rest.push({ operator: 'not in', value: this.#sum() });
      } else return rest.length === 0 ? first : { type: 'comparison', first, rest };
    }
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
    return this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary()));
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
    const value: Expression = this.#skip('-')
      ? { type: 'minus', of: this.#unary(false) }
      : this.#skip('+')
        ? { type: 'plus', of: this.#unary(false) }
        : this.#primary();
    const behind = this.#postfix(value);
    return withFilters ? this.#filtered(behind) : behind;
  }

  #primary(): Expression {
    const { type, text } = this.#token;
    this.#at++;
    switch (type) {
      case 'name': {
        const constant = constants.get(text);
        return constant === undefined ? { type: 'name', name: text } : { type: 'constant', value: constant };
      }
      case 'string': {
        let value = text;
        while (this.#token.type === 'string') value += this.#expect('string');
        return { type: 'constant', value };
      }
      case 'integer':
        return { type: 'constant', value: BigInt(text.replaceAll('_', '')) };
      case 'float':
        return { type: 'constant', value: Number(text.replaceAll('_', '')) };
    }
    if (text === '(' && type === 'operator') {
      if (this.#skip(')')) return { type: 'tuple', items: [] };
      const value = this.#tuple();
      this.#expect('operator', ')');
      return value;
    }
    if (text === '[' && type === 'operator')
      return { type: 'list', items: this.#listed(']', () => this.#expression()) };
    if (text === '{' && type === 'operator') {
      const entries = this.#listed('}', () => {
        const name = this.#expression();
        this.#expect('operator', ':');
        return [name, this.#expression()] as const;
      });
      return { type: 'mapping', entries };
    }
    throw new Fault('it is no Jinja: an expression is missing');
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
      else if (this.#is('(')) behind = { type: 'call', of: behind, given: this.#arguments() };
      else return behind;
    }
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

  #arguments(): Given {
    this.#expect('operator', '(');
    const list: Expression[] = [];
    const named: [string, Expression][] = [];
    this.#listed(')', () => {
      if (this.#skip('*') || this.#skip('**')) {
        this.#expression();
        list.push({ type: 'unsupported', what: 'arguments with a star' });
      } else if (this.#token.type === 'name' && this.#tokens[this.#at + 1]?.text === '=') {
        const name = this.#expect('name');
        this.#at++;
        named.push([name, this.#expression()]);
      } else if (named.length > 0) throw new Fault('it is no Jinja: an argument stands behind named ones');
      else list.push(this.#expression());
    });
    return { list, named };
  }

  #filtered(value: Expression): Expression {
    let behind = value;
    for (;;) {
      if (this.#is('|')) behind = this.#filters(behind)!;
      else if (this.#skip('is', 'name')) behind = this.#test(behind);
      else if (this.#is('(')) behind = { type: 'call', of: behind, given: this.#arguments() };
      else return behind;
    }
  }

  /** @param startsInline whether the first stands without its bar */
  #filters(value: Expression | undefined, startsInline = false): Expression | undefined {
    let filtered = value;
    let inline = startsInline;
    while (inline || this.#skip('|')) {
      inline = false;
      const name = this.#expect('name');
      if (this.#is('.')) unsupported('a filter with a dot in its name');
      const given = this.#is('(') ? this.#arguments() : { list: [], named: [] };
      filtered = { type: 'filter', of: filtered, name, given };
    }
    return filtered;
  }

  #test(of: Expression): Expression {
    const negated = this.#skip('not', 'name');
    const name = this.#expect('name');
    if (this.#is('.')) unsupported('a test with a dot in its name');
    let given: Given = { list: [], named: [] };
    const { type, text } = this.#token;
    if (this.#is('(')) given = this.#arguments();
    else if (
      /^(string|integer|float)$/.test(type) ||
      this.#is('[') ||
      this.#is('{') ||
      (type === 'name' && !/^(else|or|and)$/.test(text))
    ) {
      // As Jinja has it: what follows a test is its argument, also where it was meant as something else.
      if (text === 'is' && type === 'name') throw new Fault('it is no Jinja: a test stands behind a test');
      given = { list: [this.#postfix(this.#primary())], named: [] };
    }
    const test: Expression = { type: 'test', of, name, given };
    return negated ? { type: 'not', of: test } : test;
  }
}

/** Whether a loop's own body may end an iteration early: Jinja takes a loop that has ended none for one without items. */
function leaves(statements: readonly Statement[]): boolean {
  return statements.some((statement) => {
    if (statement.type !== 'if') return /^(break|continue)$/.test(statement.type);
    return [statement.otherwise, ...statement.branches.map((branch) => branch.statements)].some(leaves);
  });
}

export function namesIn(target: Target): string[] {
  if (target.type === 'target') return [target.name];
  return target.type === 'targets' ? target.items.flatMap(namesIn) : [];
}

/** `safe` is nothing where its value is written at once; elsewhere it would change what is put together with it. */
function withoutSafe(value: Expression): Expression {
  return value.type === 'filter' && value.name === 'safe' && value.of !== undefined
    ? withoutSafe(value.of)
    : value;
}
