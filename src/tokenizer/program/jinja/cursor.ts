// A place among a template's tokens, which goes on as they are taken.
import { Fault } from './faults.ts';
import type { Token } from './lexer.ts';

type TokenType = Token['type'];
const end: Token = { type: 'eof', text: '' };

export class Cursor {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get token(): Token {
    return this.#tokens[this.#at] ?? end;
  }

  /** Takes one token, whatever it is. */
  take(): Token {
    const { token } = this;
    this.#at++;
    return token;
  }

  is(text: string, type: TokenType = 'operator'): boolean {
    return this.token.type === type && this.token.text === text;
  }

  /** Whether this stands behind the next token. */
  isBehind(text: string, type: TokenType = 'operator'): boolean {
    const behind = this.#tokens[this.#at + 1] ?? end;
    return behind.type === type && behind.text === text;
  }

  skip(text: string, type: TokenType = 'operator'): boolean {
    const found = this.is(text, type);
    if (found) this.#at++;
    return found;
  }

  /** @throws Fault where another token stands there */
  expect(type: TokenType, text?: string): string {
    const { token } = this;
    if (token.type !== type || (text !== undefined && token.text !== text))
      throw new Fault(`it is no Jinja: ${text ?? type} is missing`);
    this.#at++;
    return token.text;
  }

  /** Takes what is asked for, or nothing where that is undefined. */
  attempt<T>(taking: () => T | undefined): T | undefined {
    const from = this.#at;
    const found = taking();
    if (found === undefined) this.#at = from;
    return found;
  }

  /** Up to a token that ends them, with commas between them, and one behind the last if there is. */
  listed<T>(last: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.skip(last)) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.skip(last)) break;
      items.push(item());
    }
    return items;
  }
}
