// The plot of a figure along the interpolation between full model and plug-in.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from './theme.ts';

/** A place on the line from the full model through the plug-in. */
export interface LinePoint {
  readonly coefficient: number;
  readonly value: number;
}

export interface LineOptions {
  readonly title: string;
  readonly width: number;
  /** Where the plug-in is. */
  readonly plugIn: number;
  /** Draws the straight line between the two models, above which there is a barrier. */
  readonly straight?: boolean;
}

const full = 'var(--full)';
const height = 200;

/** A curve over the line from the full model (at 0) through the plug-in and beyond, with both models marked. */
export function linePlot(
  points: readonly LinePoint[],
  { title, width, plugIn, straight = false }: LineOptions,
): TopLevelSpec {
  const at = (coefficient: number) => points.filter((point) => point.coefficient === coefficient);
  const ends = [...at(0), ...at(plugIn)];
  const coefficients = points.map(({ coefficient }) => coefficient);
  const rule = (datum: number, color: string) => ({
    mark: { type: 'rule' as const, color, strokeDash: [3, 3] },
    encoding: { x: { datum, type: 'quantitative' as const }, y: { value: 0 }, y2: { value: height } },
  });
  const model = (values: LinePoint[], color: string, shape: string, size: number) => ({
    data: { values },
    mark: { type: 'point' as const, filled: true, opacity: 1, color, shape, size, stroke: colours.panel },
  });
  return {
    width,
    height,
    autosize: { type: 'fit-x', contains: 'padding' },
    data: { values: [...points] },
    layer: [
      rule(0, full),
      rule(plugIn, colours.transfer),
      ...(straight && ends.length === 2
        ? [
            {
              data: { values: ends },
              mark: { type: 'line' as const, color: colours.soft, strokeWidth: 1.25, strokeDash: [5, 4] },
            },
          ]
        : []),
      {
        mark: {
          type: 'line',
          color: colours.kept,
          strokeWidth: 2,
          point: { filled: true, size: 28, color: colours.kept },
        },
      },
      model(at(0), full, 'circle', 110),
      ...(plugIn === 0 ? [] : [model(at(plugIn), colours.transfer, 'diamond', 150)]),
    ],
    encoding: {
      x: {
        field: 'coefficient',
        type: 'quantitative',
        title: 'coefficient c',
        scale: { domain: [Math.min(0, ...coefficients), Math.max(plugIn, ...coefficients)], nice: false },
        axis: { grid: false, tickCount: 5 },
      },
      y: {
        field: 'value',
        type: 'quantitative',
        title,
        scale: { zero: false, ...domainIfFlat(points) },
        axis: { tickCount: 5 },
      },
    },
  };
}

/** A line on which nothing changes has no scale of its own: a tenth of its value is shown. */
function domainIfFlat(points: readonly LinePoint[]): { domain?: [number, number] } {
  const [first = 0, ...others] = points.map(({ value }) => value);
  if (others.some((value) => value !== first)) return {};
  const half = Math.abs(first) / 20 || 1;
  return { domain: [first - half, first + half] };
}
