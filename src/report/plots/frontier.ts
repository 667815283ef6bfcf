// The plot of candidates of a build that finds its own way: what each gives away, and how truly it teaches.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from './theme.ts';

/** A candidate that was measured. */
export interface FrontierPoint {
  /** In %; what is left of the plot's edge stands at it. */
  readonly bitsKept: number;
  readonly agreement: number;
  readonly standing: keyof typeof marks;
}

export interface FrontierOptions {
  readonly width: number;
  /** The budget of bits kept, in %. */
  readonly leakAtMost: number;
}

export const frontierColours = { chosen: colours.transfer, fits: colours.kept, over: colours.removed };
const marks = {
  over: { color: frontierColours.over, shape: 'square', size: 50 },
  fits: { color: frontierColours.fits, shape: 'circle', size: 60 },
  chosen: { color: frontierColours.chosen, shape: 'diamond', size: 150 },
} as const;
const height = 240;
/** Bits below none are of little interest, however far below. */
const leastBits = -25;

/** Agreement over bits kept, with the budget as a line; the chosen one stands in front. */
export function frontierPlot(
  points: readonly FrontierPoint[],
  { width, leakAtMost }: FrontierOptions,
): TopLevelSpec {
  const placed = points.map((point) => ({ ...point, bitsKept: Math.max(leastBits, point.bitsKept) }));
  const bits = [...placed.map(({ bitsKept }) => bitsKept), leakAtMost];
  const [least, most] = [Math.min(0, ...bits), Math.max(...bits)];
  const room = (most - least) / 20 || 1;
  return {
    width,
    height,
    autosize: { type: 'fit-x', contains: 'padding' },
    layer: [
      {
        data: { values: [{}] },
        mark: { type: 'rule', color: colours.soft, strokeDash: [5, 4] },
        encoding: {
          x: { datum: leakAtMost, type: 'quantitative' },
          y: { value: 0 },
          y2: { value: height },
        },
      },
      ...(Object.keys(marks) as (keyof typeof marks)[]).map((standing) => ({
        data: { values: placed.filter((point) => point.standing === standing) },
        mark: { type: 'point' as const, filled: true, opacity: 1, stroke: colours.panel, ...marks[standing] },
        encoding: { y: { field: 'agreement', type: 'quantitative' as const } },
      })),
    ],
    encoding: {
      x: {
        field: 'bitsKept',
        type: 'quantitative',
        title: 'bits kept, untuned, in %',
        scale: { domain: [least - room, most + room], nice: false, zero: false },
        axis: { tickCount: 5 },
      },
      y: {
        type: 'quantitative',
        title: 'agreement of gradients',
        scale: { zero: true, padding: 8 },
        axis: { tickCount: 5 },
      },
    },
  };
}
