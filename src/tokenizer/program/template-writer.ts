// Rendering chat templates from outside: bounded, deterministic, and with no data in errors.
import { createHash } from 'node:crypto';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import type { Conversation, Template, Written } from './messages.ts';
import { type Missing, missingIn, type Statement } from './template-names.ts';

/** A conversation that the template itself does not take. */
class Refusal extends Error {}

/** A template that cannot be used, in words that may be shown: they hold nothing of a conversation, nor what it led to. */
class Fault extends Error {}

/** A call of what is no function. */
class NoFunction extends Error {}

/** Interprets a chat template (Jinja) as transformers does. */
export class TemplateWriter {
  readonly #program: ReturnType<typeof parse>;
  readonly #names: Readonly<Record<string, unknown>>;
  readonly #missing: Missing;

  /** @throws Error where it is no Jinja */
  constructor({ text, specialTokens }: Template) {
    // The interpreter takes one line feed from the end, and trimmed() has done so.
    this.#program = parse(tokenize(`${withMarks(trimmed(text))}\n`));
    this.#names = { ...specialTokens, ...builtIns };
    this.#missing = missingIn(this.#program, Object.keys(builtIns));
  }

  /** The conversation as it is written, or why it is not. */
  write({ messages, generationPrompt }: Conversation): Written | { refused: true } | { failed: string } {
    const environment = new Environment();
    const marks = marksOf(messages);
    const names = { messages, add_generation_prompt: generationPrompt, ...this.#names, ...marks };
    for (const [name, value] of Object.entries(names)) environment.set(name, value);
    try {
      const { value } = new BoundedInterpreter(environment).run(this.#program);
      const longest = Math.max(longestText, 2 * lengthOf(messages));
      if (value.length > longest)
        throw new Fault(`it writes more than ${longest} characters of a conversation`);
      return withoutMarks(value, marks);
    } catch (error) {
      return error instanceof Refusal ? { refused: true } : { failed: shownWords(error, this.#missing) };
    }
  }
}

/** What is used of the interpreter; its own types are not found by this module resolution. */
type Interpreting = new (
  environment: Environment,
) => {
  run(program: unknown): { value: string };
  evaluate(statement: Statement | undefined, environment: Environment): unknown;
};

/** Ends calls without end, and knows a call of what is not there: the interpreter takes a full stack for a missing name. */
class BoundedInterpreter extends (Interpreter as Interpreting) {
  #calls = 0;

  override evaluate(statement: Statement | undefined, environment: Environment): unknown {
    if (statement?.type !== 'CallExpression') return super.evaluate(statement, environment);
    if (this.#calls === deepestCall) throw new Fault(`its calls are nested deeper than ${deepestCall}`);
    this.#calls++;
    try {
      return super.evaluate(statement, environment);
    } catch (error) {
      throw error instanceof Error && /is not a function/.test(error.message) ? new NoFunction() : error;
    } finally {
      this.#calls--;
    }
  }
}

/** The interpreter's own words may hold what a message says, and the name that it met says what a message led to. */
function shownWords(error: unknown, { call, filter, test }: Missing): string {
  if (error instanceof Fault) return error.message;
  if (error instanceof NoFunction) {
    const clock = call === 'strftime_now' ? ' (the clock: equal rows must give equal tokens on any day)' : '';
    return `it calls ${call ?? 'what is no function'}${clock}, which is not given to templates`;
  }
  const [, kind] =
    /^Unknown (?:\w+ )?(filter|test): /.exec(error instanceof Error ? error.message : '') ?? [];
  const name = kind === 'filter' ? filter : test;
  return kind === undefined || name === undefined
    ? 'an expression in it fails'
    : `it uses an unknown ${kind}: ${name}`;
}

const deepestCall = 100;

/** Of a conversation as it is written: as much as a row's text may have. One that is long itself is the row's fault. */
const longestText = 2 ** 20;

const lengthOf = (messages: Conversation['messages']) =>
  messages.reduce((sum, { role, content }) => sum + role.length + content.length, 0);

/** What the sandbox of transformers allows. */
const longestRange = 100_000;

/** What transformers defines for every template. Without its clock: the same rows must give the same tokens on any day. */
const builtIns = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown) => {
    throw new Refusal(String(message));
  },
  range: (...bounds: unknown[]) => {
    const [from = 0, to = 0, step = 1] = (bounds.length > 1 ? bounds : [0, ...bounds]).map(Number);
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (!(count <= longestRange))
      throw new Fault(`it asks for a range of more than ${longestRange} numbers, or of none that ends`);
    return Array.from({ length: count }, (_, i) => from + i * step);
  },
};

/** Without the line feed at the end, blanks before a block and the line feed behind it, as transformers sets Jinja up. */
function trimmed(text: string): string {
  return text
    .replace(/\n$/, '')
    .replace(/^[ \t]*(?=\{[#%-])/gm, '')
    .replace(/(?<=[#%-]\})\n/g, '');
}

/** Where an answer begins and ends in what is written: texts that the conversation does not hold. */
interface Marks {
  readonly generation_begins: string;
  readonly generation_ends: string;
}

/** No text holds its own digest. A template can read its marks, so that equal conversations must have equal ones in every process. */
function marksOf(messages: Conversation['messages']): Marks {
  const digest = createHash('sha256').update(JSON.stringify(messages)).digest('hex');
  return { generation_begins: `\uFDD0${digest}<`, generation_ends: `\uFDD0${digest}>` };
}

/** Puts marks in the place of `generation` tags, and keeps what these say of the blanks around them. */
function withMarks(text: string): string {
  return text.replace(
    /\{%(-?)\s*(end)?generation\s*(-?)%\}/g,
    (_, left: string, ends: string | undefined, right: string) =>
      `{{${left} ${`generation_${ends === undefined ? 'begins' : 'ends'}` satisfies keyof Marks} ${right}}}`,
  );
}

function withoutMarks(written: string, { generation_begins: begins, generation_ends: ends }: Marks): Written {
  let text = '';
  const generations: [number, number][] = [];
  for (const [i, part] of written.split(begins).entries()) {
    const [said = '', ...rest] = part.split(ends);
    if (i > 0) generations.push([text.length, text.length + said.length]);
    text += said + rest.join('');
  }
  return { text, generations };
}
