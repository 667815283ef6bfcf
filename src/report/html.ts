// HTML templates in which every value is escaped, so that nothing from outside becomes markup.
import { printableLines } from '../api/index.ts';

/** Markup that goes into a page as it is; everything else is escaped. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | undefined | false | readonly Part[];

/** A template of markup: values are escaped unless they are markup themselves; lists are joined, undefined and false vanish. */
export function html(strings: TemplateStringsArray, ...values: Part[]): Html {
  return new Html(strings.map((text, i) => (i === 0 ? text : markup(values[i - 1]) + text)).join(''));
}

function markup(part: Part): string {
  if (part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(markup).join('');
  return escaped(String(part));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as it may stand between tags and in quoted attributes; what HTML forbids, or a reader would not see, is made visible. */
export function escaped(text: string): string {
  return printableLines(text.replaceAll('\t', ' '))
    .replaceAll(/[\uFFFE\uFFFF]/g, '')
    .replaceAll(/[&<>"']/g, (character) => entities[character] as string);
}
