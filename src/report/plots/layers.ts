// The plot of how much the loss changes with each layer, linear or logarithmic on both sides of zero.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from './theme.ts';

/** What the loss changes by, in nats, with one layer changed. */
export interface LayerChange {
  readonly layer: number;
  readonly change: number;
  readonly transfer: boolean;
}

/** How many times the median the largest change may be before the axis becomes logarithmic. */
const linearUpTo = 20;

/** One bar a layer; transfer layers stand out. */
export function layersPlot(changes: readonly LayerChange[], width: number): TopLevelSpec {
  const near = linearWithin(changes);
  const values = changes.map((change) => ({ ...change, zero: 0 }));
  return {
    width,
    height: 190,
    autosize: { type: 'fit-x', contains: 'padding' },
    data: { values },
    layer: [
      {
        mark: { type: 'bar' },
        encoding: {
          y: { field: 'change', type: 'quantitative', stack: null },
          color: {
            field: 'transfer',
            type: 'nominal',
            legend: null,
            scale: { domain: [true, false], range: [colours.transfer, colours.kept] },
          },
        },
      },
      {
        mark: { type: 'rule', color: colours.soft },
        encoding: { x: { value: 0 }, x2: { value: 'width' }, y: { datum: 0, type: 'quantitative' } },
      },
    ],
    encoding: {
      x: {
        field: 'layer',
        type: 'ordinal',
        title: 'layer',
        scale: { paddingInner: 0.2, paddingOuter: 0.2 },
        axis: { labelAngle: 0, labelOverlap: 'greedy', ticks: false },
      },
      y: {
        title: 'change of the loss',
        ...(near === undefined
          ? { axis: { tickCount: 5 } }
          : {
              scale: { type: 'symlog', constant: near, nice: false },
              axis: {
                values: decadesOf(changes, near),
                labelExpr: `replace(toString(datum.value), '-', '−')`,
              },
            }),
      },
    },
  };
}

/** Up to which distance from zero the axis is linear, a power of ten; undefined where it is so everywhere. */
export function linearWithin(changes: readonly LayerChange[]): number | undefined {
  const sizes = changes.map(({ change }) => Math.abs(change)).sort((a, b) => a - b);
  const median = sizes[Math.floor(sizes.length / 2)] ?? 0;
  const largest = sizes.at(-1) ?? 0;
  if (median === 0 || largest <= linearUpTo * median) return undefined;
  return 10 ** Math.floor(Math.log10(median));
}

/** Zero and the powers of ten on both sides, as far as the changes go. */
function decadesOf(changes: readonly LayerChange[], near: number): number[] {
  const side = (sign: number) => {
    const most = Math.max(0, ...changes.map(({ change }) => sign * change));
    const count = most < near ? 0 : Math.floor(Math.log10(most / near) + 1e-9) + 1;
    return Array.from({ length: count }, (_, i) => sign * Number((near * 10 ** i).toPrecision(1)));
  };
  return [...side(-1).reverse(), 0, ...side(1)];
}
