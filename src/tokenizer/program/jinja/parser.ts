// From tokens to a tree: of Jinja's grammar what real templates use, all else is refused by its name.
import { Cursor } from './cursor.ts';
import { constants, Expressions, reserved } from './expressions.ts';
import { Fault, unsupported } from './faults.ts';
import { filterNamed } from './filters.ts';
import { bodyOf } from './id-tracking.ts';
import { tokensOf } from './lexer.ts';
import { type Body, type Expression, nodesIn, type Parameter, type Statement, type Target } from './nodes.ts';

/** @throws Fault where it is no Jinja, or uses what this interpreter has not */
export function parse(template: string): Body {
  const body = new Parser(new Cursor(tokensOf(template))).template();
  checkPassing(body);
  return body;
}

/** Where statements stand: break ends a loop of the same function, generation tags are those of what is written at once. */
interface Place {
  readonly inLoop: boolean;
  readonly isWritten: boolean;
  /** Outside of everything but `if`. */
  readonly isTop: boolean;
}
const inside: Place = { inLoop: false, isWritten: false, isTop: false };

class Parser {
  readonly #tokens: Cursor;
  readonly #expressions: Expressions;

  constructor(tokens: Cursor) {
    this.#tokens = tokens;
    this.#expressions = new Expressions(tokens);
  }

  template(): Body {
    return bodyOf(this.#statements([], { inLoop: false, isWritten: true, isTop: true }));
  }

  /** Up to a tag of one of these names, whose name is not taken. */
  #statements(ends: readonly string[], place: Place): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const { type, text } = this.#tokens.take();
      if (type === 'eof') {
        if (ends.length === 0) return statements;
        throw new Fault(`it is no Jinja: ${ends.at(-1)} is missing`);
      }
      if (type === 'data') statements.push({ type: 'data', text });
      else if (type === 'begin' && text === 'variable') {
        const value = this.#expressions.whole();
        if (this.#tokens.is(',')) unsupported('a tuple');
        this.#tokens.expect('end', 'variable');
        statements.push({ type: 'write', value: withoutSafe(value) });
      } else {
        if (ends.some((end) => this.#tokens.is(end, 'name'))) return statements;
        statements.push(this.#statement(this.#tokens.expect('name'), place));
      }
    }
  }

  #end(): void {
    this.#tokens.expect('end', 'block');
  }

  /** Statements up to the tag that ends them, and this tag. */
  #until(end: string, place: Place): Statement[] {
    this.#end();
    const statements = this.#statements([end], place);
    this.#tokens.take();
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
    if (this.#tokens.skip(',')) targets.push(this.#ownName());
    if (this.#tokens.is(',')) unsupported('more than two names of a loop');
    this.#tokens.expect('name', 'in');
    const of = this.#expressions.unconditional();
    if ((of.type === 'pairs') !== (targets.length === 2) || this.#tokens.is(','))
      unsupported('a loop with two names over anything but items, or with one over these');
    const test = this.#tokens.skip('if', 'name') ? this.#expressions.whole() : undefined;
    for (const node of nodesIn(test))
      if (node.type === 'loop') unsupported('loop in the condition of a loop');
    if (this.#tokens.is('recursive', 'name')) unsupported('a recursive loop');
    this.#end();
    const own = { ...place, inLoop: true, isTop: false };
    const body = this.#statements(['else', 'endfor'], own);
    if (of.type === 'pairs' && namesNeighbours(body)) unsupported('loop.previtem or loop.nextitem of pairs');
    const hasElse = this.#tokens.expect('name') === 'else';
    if (hasElse && leaves(body)) unsupported('break or continue in a loop with else');
    const otherwise = hasElse ? this.#until('endfor', { ...place, isTop: false }) : [];
    if (!hasElse) this.#end();
    return { type: 'for', targets, of, test, body: bodyOf(body, targets), otherwise: bodyOf(otherwise) };
  }

  #if(place: Place): Statement {
    const branches: { test: Expression; statements: Statement[] }[] = [];
    let next = 'elif';
    while (next === 'elif') {
      const test = this.#expressions.unconditional();
      this.#end();
      branches.push({ test, statements: this.#statements(['elif', 'else', 'endif'], place) });
      next = this.#tokens.expect('name');
    }
    const otherwise = next === 'else' ? this.#until('endif', place) : [];
    if (next !== 'else') this.#end();
    return { type: 'if', branches, otherwise };
  }

  #set(): Statement {
    const target = this.#target();
    if (this.#tokens.skip('=')) {
      const value = this.#expressions.whole();
      if (this.#tokens.is(',')) unsupported('a tuple');
      this.#end();
      return { type: 'set', target, value };
    }
    if (this.#tokens.is('|')) unsupported('a filter of a set block');
    return { type: 'capture', target, body: bodyOf(this.#until('endset', inside)) };
  }

  #target(): Target {
    if (this.#tokens.isBehind('.')) {
      const namespace = this.#tokens.expect('name');
      this.#tokens.take();
      const name = this.#tokens.expect('name');
      if (name.startsWith('_')) unsupported('an attribute that begins with _');
      return { type: 'field', namespace, name };
    }
    const target: Target = { type: 'target', name: this.#ownName() };
    if (this.#tokens.is(',')) unsupported('several names that are set at once');
    return target;
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
    if (this.#tokens.is('(')) this.#parameters();
    const { type } = this.#expressions.whole();
    if (type !== 'call' && type !== 'unsupported') return this.#unknownTag();
    this.#until('endcall', inside);
    return { type: 'unsupported', what: 'the tag call' };
  }

  #parameters(): Parameter[] {
    this.#tokens.expect('operator', '(');
    const parameters: Parameter[] = [];
    while (!this.#tokens.is(')')) {
      if (parameters.length > 0) this.#tokens.expect('operator', ',');
      const name = this.#ownName();
      const otherwise = this.#tokens.skip('=') ? this.#expressions.whole() : undefined;
      if (otherwise !== undefined && otherwise.type !== 'constant')
        return unsupported('a default of a macro that is no constant');
      const isOptional = parameters.at(-1)?.otherwise !== undefined;
      if ((otherwise === undefined && isOptional) || parameters.some((other) => other.name === name))
        this.#unknownTag();
      parameters.push({ name, otherwise: otherwise?.value });
    }
    this.#tokens.take();
    return parameters;
  }

  /** A name that a template gives a value. */
  #ownName(): string {
    if (this.#tokens.is('(')) unsupported('a tuple');
    const name = this.#tokens.expect('name');
    if (constants.has(name)) this.#unknownTag();
    return reserved.has(name) ? unsupported(`${name} as a name of its own`) : name;
  }
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
