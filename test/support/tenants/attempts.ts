/** What somebody tries on somebody's things, what a real server answers, and the table of it that a page of the docs shows. */
import { readFileSync, writeFileSync } from 'node:fs';

/** One deed on one thing, tried by one actor. */
export interface Attempt {
  readonly who: string;
  /** To whom the thing belongs. */
  readonly whose: string;
  readonly what: string;
  readonly deed: string;
  readonly permitted: boolean;
}

const page = new URL('../../../docs/security.md', import.meta.url);

/** How the answers stand in the docs: a row for things that are alike, a column an actor, a cell what is permitted there. */
export class Matrix {
  readonly #head: string;
  readonly #actors: readonly string[];
  readonly #refusal: string;

  /**
   * @param corner the first column's title, by which the docs' table is found
   * @param refusal the word of the server that refuses
   */
  constructor(corner: string, actors: readonly string[], refusal: string) {
    this.#head = row([corner, ...actors]);
    this.#actors = actors;
    this.#refusal = refusal;
  }

  table(attempts: readonly Attempt[]): string {
    const rows = new Map<string, { whose: string; whats: string[]; cells: string[] }>();
    for (const { whose, what } of attempts) {
      const cells = this.#actors.map((who) =>
        this.#cell(attempts.filter((each) => each.who === who && each.whose === whose && each.what === what)),
      );
      const alike = rows.get([whose, ...cells].join('|')) ?? { whose, whats: [], cells };
      if (!alike.whats.includes(what)) alike.whats.push(what);
      rows.set([whose, ...cells].join('|'), alike);
    }
    const lines = [...rows.values()].map(({ whose, whats, cells }) =>
      row([`${whose}: ${whats.join(', ')}`, ...cells]),
    );
    return [this.#head, row(['', ...this.#actors].map(() => '---')), ...lines].join('\n');
  }

  /** The table that the page has; '' where there is none. */
  written(): string {
    const [from, to] = this.#place(readFileSync(page, 'utf8'));
    return readFileSync(page, 'utf8').slice(from, to);
  }

  /** Puts the table in the place of the page's. @throws where the page has none */
  write(attempts: readonly Attempt[]): void {
    const text = readFileSync(page, 'utf8');
    const [from, to] = this.#place(text);
    if (from === to) throw new Error(`docs/security.md has no table ${this.#head}`);
    writeFileSync(page, text.slice(0, from) + this.table(attempts) + text.slice(to));
  }

  #place(text: string): [from: number, to: number] {
    const from = text.indexOf(this.#head);
    if (from < 0) return [0, 0];
    const end = text.slice(from).search(/\n(?!\|)/);
    return [from, end < 0 ? text.length : from + end];
  }

  #cell(tried: readonly Attempt[]): string {
    const permitted = tried.filter((attempt) => attempt.permitted).map(({ deed }) => deed);
    if (permitted.length === 0) return this.#refusal;
    return permitted.length === tried.length && tried.length > 3 ? 'everything' : permitted.join(', ');
  }
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
