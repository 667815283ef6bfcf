// The page's components: chips, tables, facts, legends, figures and plots for two widths.
import type { Condition, Status } from '../api/index.ts';
import { type Html, html } from './html.ts';

/** A word in a pill: how something ended. */
export const chip = (text: string, tone: Tone): Html => html`<span class="chip ${tone}">${text}</span>`;

export type Tone = 'good' | 'bad' | 'open';

export function phaseChip({ phase = 'Pending' }: Status): Html {
  return chip(phase, phase === 'Complete' ? 'good' : phase === 'Failed' ? 'bad' : 'open');
}

/** The condition that explains a resource that is not Complete. */
export const reasonOf = ({ conditions = [] }: Status): Condition | undefined =>
  conditions.find(({ type, status }) => type === 'Failed' && status === 'True') ??
  conditions.findLast(({ status }) => status === 'True');

type Cell = Html | string | undefined;

export interface Table {
  readonly caption: string;
  readonly columns: readonly {
    readonly title: string;
    readonly number?: boolean;
    readonly message?: boolean;
  }[];
  /** The first cell heads its row. */
  readonly rows: readonly (readonly Cell[])[];
}

/** A table that scrolls within itself where the page is too narrow for it. */
export function table({ caption, columns, rows }: Table): Html {
  const kind = (i: number) =>
    columns[i]?.number ? html` class="number"` : columns[i]?.message ? html` class="message"` : undefined;
  return html`<div class="scroll" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map(({ title }, i) => html`<th scope="col"${kind(i)}>${title}</th>`)}</tr></thead>
<tbody>${rows.map(
    (cells) =>
      html`<tr>${cells.map((cell, i) =>
        i === 0 ? html`<th scope="row">${cell}</th>` : html`<td${kind(i)}>${cell}</td>`,
      )}</tr>
`,
  )}</tbody></table></div>`;
}

/** Terms and values side by side; those without a value are left out. */
export function facts(pairs: readonly (readonly [string, Cell])[]): Html {
  const given = pairs.filter(([, value]) => value !== undefined && value !== '');
  return given.length === 0
    ? html``
    : html`<dl class="facts">${given.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export interface LegendEntry {
  readonly colour: string;
  readonly shape: 'line' | 'circle' | 'diamond' | 'square' | 'frame';
  readonly text: string;
}

const shapes: Readonly<Record<LegendEntry['shape'], (colour: string) => Html>> = {
  line: (colour) => html`<path d="M0 6h14" stroke="${colour}" stroke-width="2.5"/>`,
  circle: (colour) => html`<circle cx="7" cy="6" r="4.5" fill="${colour}"/>`,
  diamond: (colour) => html`<path d="M7 0l5.5 6L7 12 1.5 6z" fill="${colour}"/>`,
  square: (colour) => html`<path d="M2 1h10v10H2z" fill="${colour}"/>`,
  frame: (colour) => html`<path d="M2 1h10v10H2z" fill="none" stroke="${colour}" stroke-width="2"/>`,
};

export const legend = (entries: readonly LegendEntry[]): Html =>
  html`<ul class="legend">${entries.map(
    ({ colour, shape, text }) =>
      html`<li><svg width="14" height="12" viewBox="0 0 14 12" aria-hidden="true">${shapes[shape](colour)}</svg>${text}</li>`,
  )}</ul>`;

export interface Figure {
  readonly title: string;
  readonly caption: Html | string;
  readonly legend?: readonly LegendEntry[];
  /** On a wide page legend and caption stand at the plot's right. */
  readonly beside?: boolean;
}

/** A plot with its heading, legend and caption. */
export const figure = (plot: Html, { title, caption, legend: entries, beside }: Figure): Html =>
  html`<figure${beside && html` class="beside"`}><p class="figure-title">${title}</p>${plot}${entries && legend(entries)}<figcaption>${caption}</figcaption></figure>`;

const widths = { wide: 800, narrow: 320 } as const;

/** One plot drawn twice, for a wide page and for a phone, so that its text is readable on both; style shows one of them. */
export async function responsive(
  id: string,
  plot: (width: number, id: string) => Promise<Html>,
): Promise<Html> {
  const [wide, narrow] = [await plot(widths.wide, id), await plot(widths.narrow, `${id}-narrow`)];
  return html`<div class="wide">${wide}</div><div class="narrow">${narrow}</div>`;
}
