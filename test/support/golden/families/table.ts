import { readFileSync, writeFileSync } from 'node:fs';
import type { Parity } from './measure.ts';
import type { EmulatorParity } from './tuned.ts';

/** What was measured of a variant; an emulator of each family's first. */
export type Measured = Parity & { emulator?: EmulatorParity };

const file = new URL('../../../../docs/families.md', import.meta.url);
const [begin, end] = ['<!-- measured: begin -->\n', '<!-- measured: end -->'];
/** Another processor rounds otherwise: a figure that has grown by less is no news. */
const slack = 10;

const columns: readonly [title: string, figure: (measured: Measured) => number | undefined][] = [
  ['logits', ({ logits }) => logits],
  ['loss', ({ loss }) => loss],
  ['gradients', ({ gradients }) => gradients],
  ['emulator', ({ emulator }) => emulator?.logits],
  ['five steps', ({ emulator }) => emulator?.changes],
  ['plug-in', ({ emulator }) => emulator?.plugIn],
  ['LoRA', ({ emulator }) => emulator?.lora.changes],
  ['LoRA plug-in', ({ emulator }) => emulator?.lora.plugIn],
  ['dropout', ({ emulator }) => emulator?.dropout.changes],
  ['dropout plug-in', ({ emulator }) => emulator?.dropout.plugIn],
  ['head', ({ emulator }) => emulator?.head.changes],
  ['head plug-in', ({ emulator }) => emulator?.head.plugIn],
  ['bottleneck', ({ emulator }) => emulator?.bottleneck.changes],
  ['bottleneck plug-in', ({ emulator }) => emulator?.bottleneck.plugIn],
];

/** Writes the table of docs/families.md. */
export function writeTable(measured: ReadonlyMap<string, Measured>): void {
  const [before, , after] = chapters();
  writeFileSync(file, before + begin + table(measured) + end + after);
}

/** What docs/families.md says that is not so: rows too many or too few, and figures that were not reached. */
export function staleCells(measured: ReadonlyMap<string, Measured>): string[] {
  const rows = new Map(
    chapters()[1]
      .split('\n')
      .slice(2)
      .flatMap((line) => {
        const [variant, ...cells] = line
          .split('|')
          .slice(1, -1)
          .map((text) => text.trim());
        return variant === undefined ? [] : [[variant, cells] as const];
      }),
  );
  const unknown = [...rows.keys()].filter((variant) => !measured.has(variant));
  return [
    ...unknown.map((variant) => `${variant} is in the table and was not measured`),
    ...[...measured].flatMap(([variant, figures]) =>
      columns.flatMap(([title, figure], i) => {
        const written = rows.get(variant)?.[i] ?? '';
        const found = figure(figures);
        const right = found === undefined ? written === '' : found <= slack * Number(written || Number.NaN);
        return right ? [] : [`${variant}, ${title}: ${found}, the table says '${written}'`];
      }),
    ),
  ];
}

function table(measured: ReadonlyMap<string, Measured>): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return [
    row(['variant', ...columns.map(([title]) => title)]),
    row(['---', ...columns.map(() => '---')]),
    ...[...measured].map(([variant, figures]) =>
      row([variant, ...columns.map(([, figure]) => upTo(figure(figures)))]),
    ),
  ].join('');
}

/** The next power of ten, from 1e-7 on: float32 has no more. */
const upTo = (figure: number | undefined) =>
  figure === undefined ? '' : `1e${Math.max(-7, Math.ceil(Math.log10(figure)))}`;

function chapters(): [before: string, table: string, after: string] {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error('docs/families.md has no place for the table');
  return [text.slice(0, from), text.slice(from + begin.length, to), text.slice(to + end.length)];
}
