// The plot of values with error bars, for cells and their differences.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from './theme.ts';

/** One row of an error-bar plot, in the unit that is shown. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The 95% interval; equal to the value where there is none. */
  readonly low: number;
  readonly high: number;
  /** As it is written beside the point. */
  readonly text: string;
  readonly colour: string;
}

export interface BarsOptions {
  readonly title: string;
  readonly width: number;
  /** Draws a line at no difference and keeps it in view. */
  readonly zero?: boolean;
}

const rowHeight = 44;

/** Values with their 95% intervals, one row each under its label, so that it fits a phone. */
export function barsPlot(bars: readonly Bar[], { title, width, zero = false }: BarsOptions): TopLevelSpec {
  const order = bars.map(({ label }) => label);
  const y = {
    field: 'label',
    type: 'nominal' as const,
    sort: order,
    axis: null,
    scale: { paddingInner: 0.2, paddingOuter: 0.1 },
  };
  const x = {
    type: 'quantitative' as const,
    title,
    scale: { domain: domainOf(bars, zero), nice: false, zero: false },
    axis: { tickCount: 5 },
  };
  const under = { y: { ...y, bandPosition: 0.7 } };
  const colour = { field: 'colour', type: 'nominal' as const, scale: null, legend: null };
  return {
    width,
    height: bars.length * rowHeight,
    autosize: { type: 'fit-x', contains: 'padding' },
    data: { values: [...bars] },
    layer: [
      ...(zero
        ? [
            {
              mark: { type: 'rule' as const, color: colours.text, strokeWidth: 1.25 },
              encoding: {
                x: { ...x, datum: 0 },
                y: { ...y, bandPosition: 0.45 },
                y2: { field: 'label', bandPosition: 0.95 },
              },
            },
          ]
        : []),
      {
        mark: { type: 'rule', strokeWidth: 2.5, strokeCap: 'round' },
        encoding: { x: { ...x, field: 'low' }, x2: { field: 'high' }, ...under, color: colour },
      },
      {
        mark: { type: 'point', filled: true, size: 70, opacity: 1 },
        encoding: { x: { ...x, field: 'value' }, ...under, color: colour },
      },
      {
        mark: { type: 'text', align: 'left', baseline: 'middle', x: 0 },
        encoding: { y: { ...y, bandPosition: 0.22 }, text: { field: 'label' } },
      },
      {
        mark: { type: 'text', align: 'right', baseline: 'middle', fontWeight: 'bold', x: { expr: 'width' } },
        encoding: { y: { ...y, bandPosition: 0.22 }, text: { field: 'text' } },
      },
    ],
  };
}

/**
 * From the lowest to the highest end of a bar with a little room; a plot of differences shows no difference too. What is not
 * finite is not drawn.
 */
function domainOf(bars: readonly Bar[], zero: boolean): [number, number] {
  const ends = [...bars.flatMap(({ low, high }) => [low, high]), ...(zero ? [0] : [])].filter(
    Number.isFinite,
  );
  if (ends.length === 0) return [0, 1];
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const room = (to - from) * 0.08 || Math.abs(to) * 0.1 || 1;
  // What cannot be negative is not drawn as if it could.
  return [zero || from < 0 ? from - room : Math.max(0, from - room), to + room];
}
