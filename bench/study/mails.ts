// Mails as they lie in SpamAssassin's public corpus, made short plain texts: the subject and the beginning of the first text part.
import { Buffer } from 'node:buffer';

/** What is read of a mail. */
export interface Mail {
  /** Without `Re:` and the names of lists, in lower case: the same for all mails of a thread. */
  readonly thread: string;
  readonly subject: string;
  /** The body's beginning, in one line; no addresses and no links. */
  readonly body: string;
}

const mostCharacters = 300;

/** A mail of its source text (RFC 5322, with MIME parts). */
export function readMail(source: string): Mail {
  const { headers, body } = parts(source);
  const subject = plain(headers.get('subject') ?? '');
  const thread = subject
    .replace(/\[[^\]]*\]/g, '')
    .replace(/^(\s*(re|fwd?|aw)\s*:)+/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim();
  return { thread, subject, body: cut(plain(textOf(headers, body))) };
}

/** Headers by their name in lower case, continued lines joined; the first of a name counts. */
function parts(source: string): { headers: Map<string, string>; body: string } {
  const [head = '', ...rest] = source.replaceAll('\r\n', '\n').split('\n\n');
  const headers = new Map<string, string>();
  for (const line of head.replace(/\n[ \t]+/g, ' ').split('\n')) {
    const at = line.indexOf(':');
    const name = line.slice(0, at).toLowerCase();
    if (at > 0 && !headers.has(name)) headers.set(name, line.slice(at + 1).trim());
  }
  return { headers, body: rest.join('\n\n') };
}

/** The text of a part; of several parts that of the first that has any. */
function textOf(headers: ReadonlyMap<string, string>, body: string, depth = 0): string {
  const type = headers.get('content-type') ?? 'text/plain';
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (/^multipart\//i.test(type) && boundary !== undefined && depth < 4) {
    for (const part of body.split(`--${boundary}`).slice(1)) {
      const inner = parts(part.replace(/^\s*\n/, ''));
      const text = textOf(inner.headers, inner.body, depth + 1);
      if (text.trim() !== '') return text;
    }
    return '';
  }
  if (!/^text\//i.test(type)) return '';
  const decoded = decode(body, headers.get('content-transfer-encoding') ?? '');
  return /^text\/html/i.test(type) || /<html|<body|<table/i.test(decoded.slice(0, 2000))
    ? withoutTags(decoded)
    : decoded;
}

function decode(body: string, encoding: string): string {
  if (/base64/i.test(encoding)) return Buffer.from(body, 'base64').toString('latin1');
  if (!/quoted-printable/i.test(encoding)) return body;
  return body
    .replace(/=\n/g, '')
    .replace(/=([0-9A-F]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

const withoutTags = (page: string) =>
  page
    .replace(/<!--.*?-->/gs, ' ')
    .replace(/<(style|script|title)\b.*?<\/\1>/gis, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&nbsp;/gi, ' ')
    .replace(/&lt;/gi, '<')
    .replace(/&gt;/gi, '>')
    .replace(/&amp;/gi, '&');

/** One line of printable ASCII; addresses and links give away who it is to, and what it is, for nothing. */
const plain = (text: string) =>
  text
    .replace(/\b\w+:\/\/\S+|\bwww\.\S+/gi, '(link)')
    .replace(/[\w.+-]+@[\w-]+(\.[\w-]+)+/g, '(address)')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/([^\w\s])\1{3,}/g, '$1$1$1')
    .replace(/\s+/g, ' ')
    .trim();

/** At a word's end. */
const cut = (text: string) =>
  text.length <= mostCharacters
    ? text
    : `${text.slice(0, text.lastIndexOf(' ', mostCharacters)).trimEnd()} ...`;
