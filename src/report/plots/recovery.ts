// The plot of a recovery curve: what both models of a leak test do after so many tokens, beside the full model.
import type { TopLevelSpec } from 'vega-lite';
import { colours } from './theme.ts';

/** One model after so many tokens of tuning, in the unit that is shown. */
export interface CurvePoint {
  readonly tokens: number;
  readonly value: number;
  /** A standard error below and above. */
  readonly low: number;
  readonly high: number;
}

export interface RecoveryCurves {
  readonly emulator: readonly CurvePoint[];
  readonly control: readonly CurvePoint[];
  readonly full: number;
  readonly halfway?: number | undefined;
}

export interface RecoveryOptions {
  readonly title: string;
  readonly width: number;
  /** Shows values by their logarithm: perplexities. */
  readonly logarithmic: boolean;
}

export const recoveryColours = { emulator: colours.transfer, control: colours.removed, full: 'var(--full)' };
const height = 240;

/** Both curves over a logarithmic axis of tokens, on which the untuned models stand a third of the first budget from the left. */
export function recoveryPlot(
  { emulator, control, full, halfway }: RecoveryCurves,
  { title, width, logarithmic }: RecoveryOptions,
): TopLevelSpec {
  const [first, last] = [emulator[1]?.tokens ?? 1, emulator.at(-1)?.tokens ?? 1];
  const untuned = first / 3;
  const placed = (points: readonly CurvePoint[]) =>
    points.map((point) => ({ ...point, tokens: Math.max(point.tokens, untuned) }));
  const curve = (points: readonly CurvePoint[], colour: string) => [
    {
      data: { values: placed(points) },
      mark: {
        type: 'line' as const,
        color: colour,
        strokeWidth: 2,
        point: { filled: true, size: 45, color: colour },
      },
      encoding: { y: { field: 'value', type: 'quantitative' as const } },
    },
    {
      data: { values: placed(points) },
      mark: { type: 'rule' as const, color: colour, strokeWidth: 1.5 },
      encoding: { y: { field: 'low', type: 'quantitative' as const }, y2: { field: 'high' } },
    },
  ];
  const line = (value: number, color: string) => ({
    data: { values: [{ value }] },
    mark: { type: 'rule' as const, color, strokeDash: [5, 4] },
    encoding: {
      x: { value: 0 },
      x2: { value: 'width' as const },
      y: { field: 'value', type: 'quantitative' as const },
    },
  });
  return {
    width,
    height,
    autosize: { type: 'fit-x', contains: 'padding' },
    layer: [
      line(full, recoveryColours.full),
      ...(halfway === undefined ? [] : [line(halfway, colours.soft)]),
      ...curve(control, recoveryColours.control),
      ...curve(emulator, recoveryColours.emulator),
    ],
    encoding: {
      x: {
        field: 'tokens',
        type: 'quantitative',
        title: 'tokens tuned on',
        scale: { type: 'log', domain: [untuned, last], nice: false },
        axis: { grid: false, format: '~s', values: emulator.slice(1).map(({ tokens }) => tokens) },
      },
      y: {
        type: 'quantitative',
        title,
        scale: { zero: false, nice: false, padding: 8, ...(logarithmic && { type: 'log' as const }) },
        axis: { tickCount: 5 },
      },
    },
  };
}
