// A template's text in tokens, by Jinja's rules with trim_blocks and lstrip_blocks.
import { Fault, unsupported } from './faults.ts';
import { spaces, stripped } from './text.ts';

export interface Token {
  readonly type: 'data' | 'begin' | 'end' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof';
  /** Of `begin` and `end` the kind: `block` or `variable`. */
  readonly text: string;
}

const tags = /\{%|\{\{|\{#/g;
const numbers = {
  float: /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y,
  integer: /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y,
};
const name = /[A-Za-z_]\w*/y;
const quoted = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const operator = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const opening: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** @throws Fault where it is no Jinja */
export function tokensOf(template: string): Token[] {
  // Python's lines; Jinja takes one line feed from the end.
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const tokens: Token[] = [];
  let at = 0;
  let startsLine = true;
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const addData = (text: string) => {
    if (text !== '') tokens.push({ type: 'data', text });
  };
  /** What stands before a tag, by its sign; `strips` where the tag takes the blanks of its line. */
  const before = (text: string, sign: string, strips: boolean) => {
    if (sign === '-') return stripped(text, { left: false });
    const line = text.lastIndexOf('\n') + 1;
    const blank = text.slice(line);
    const isBlank = blank !== '' && stripped(blank) === '';
    return strips && sign !== '+' && isBlank && (line > 0 || startsLine) ? text.slice(0, line) : text;
  };
  const skipBlanks = () => {
    while (at < source.length && spaces.has(source[at]!)) at++;
  };
  /** Behind a block or comment: its sign says what of the blanks is taken. */
  const closed = (sign: string, isVariable = false) => {
    const from = at;
    if (sign === '-') skipBlanks();
    else if (sign === '' && !isVariable && source[at] === '\n') at++;
    startsLine = at > from ? source[at - 1] === '\n' : false;
  };

  while (at < source.length) {
    tags.lastIndex = at;
    const found = tags.exec(source);
    if (found === null) {
      addData(source.slice(at));
      break;
    }
    const [opener] = found;
    const data = source.slice(at, found.index);
    at = found.index + 2;
    const sign = source[at] === '-' || source[at] === '+' ? source[at++]! : '';
    addData(before(data, sign, opener !== '{{'));
    if (opener === '{#') {
      const end = source.indexOf('#}', at);
      if (end < 0) throw new Fault('a comment in it does not end');
      const last = source[end - 1]!;
      const closing = end > at && /[-+]/.test(last) ? last : '';
      at = end + 2;
      closed(closing);
      continue;
    }
    const kind = opener === '{{' ? 'variable' : 'block';
    if (kind === 'block' && match(/\s*raw\s*-?%\}/y) !== undefined) unsupported('a raw block');
    tokens.push({ type: 'begin', text: kind });
    inTag(kind);
  }
  tokens.push({ type: 'eof', text: '' });
  return tokens;

  function inTag(kind: 'variable' | 'block'): void {
    const closers: string[] = [];
    const closing = kind === 'variable' ? /-?\}\}/y : /[-+]?%\}/y;
    for (;;) {
      skipBlanks();
      if (at >= source.length) throw new Fault('a tag in it does not end');
      const end = closers.length === 0 ? match(closing) : undefined;
      if (end !== undefined) {
        at += end.length;
        tokens.push({ type: 'end', text: kind });
        closed(end.length === 3 ? end[0]! : '', kind === 'variable');
        return;
      }
      const token = next();
      at += token.length;
      if (token.type === 'operator') {
        const closer = opening[token.text];
        if (closer !== undefined) closers.push(closer);
        else if (/[\])}]/.test(token.text) && closers.pop() !== token.text)
          throw new Fault('its brackets do not match');
      }
      tokens.push({ type: token.type, text: token.text });
    }
  }

  function next(): Token & { readonly length: number } {
    const isAfterDot = source[at - 1] === '.';
    for (const [type, pattern] of Object.entries({ ...numbers, name, string: quoted, operator })) {
      if (type === 'float' && isAfterDot) continue;
      const text = match(pattern);
      if (text === undefined) continue;
      const value = type === 'string' ? unescaped(text.slice(1, -1)) : text;
      return { type: type as Token['type'], text: value, length: text.length };
    }
    throw new Fault('a tag in it holds a character that is no Jinja');
  }
}

const escapes: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** As Python's unicode_escape has it. */
function unescaped(text: string): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g,
    (whole, octal?: string, byte?: string, unit?: string, point?: string, other = '') => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = byte ?? unit ?? point;
      if (hex !== undefined) {
        const code = Number.parseInt(hex, 16);
        if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
          unsupported('an escape that is no character');
        return String.fromCodePoint(code);
      }
      if (/[xuUN]/.test(other) || other > '\x7f') unsupported('an escape that is no character');
      return escapes[other] ?? whole;
    },
  );
}
