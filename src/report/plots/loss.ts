// The plot of training and validation loss by step.
import type { TopLevelSpec } from 'vega-lite';
import { type LossHistory, lossesOfRows } from '../../tuning/index.ts';
import { colours } from './theme.ts';

const mostPoints = 400;

export interface LossPoint {
  /** The last step that the point stands for. */
  readonly step: number;
  readonly loss: number;
}

/** The training losses, as means of equal runs of steps where there are more than a plot can show. */
export function lossPoints(losses: readonly number[]): { points: LossPoint[]; stepsAPoint: number } {
  const stepsAPoint = Math.max(1, Math.ceil(losses.length / mostPoints));
  const points = Array.from({ length: Math.ceil(losses.length / stepsAPoint) }, (_, i) => {
    const part = losses.slice(i * stepsAPoint, (i + 1) * stepsAPoint);
    const known = lossesOfRows(part);
    return {
      step: i * stepsAPoint + part.length,
      loss: known.reduce((sum, loss) => sum + loss, 0) / known.length,
    };
  });
  // Steps that hide their rows may have had none.
  return { points: points.filter(({ loss }) => !Number.isNaN(loss)), stepsAPoint };
}

/** Training loss by step, validation loss at the evaluations, and the step whose weights the adapter holds. */
export function lossPlot({ losses, evaluations, bestStep }: LossHistory, width: number): TopLevelSpec {
  const { points } = lossPoints(losses);
  const validation = evaluations.flatMap(({ step, loss }) => (Number.isFinite(loss) ? [{ step, loss }] : []));
  const best = validation.find(({ step }) => step === bestStep && step > 0);
  return {
    width,
    height: 240,
    autosize: { type: 'fit-x', contains: 'padding' },
    layer: [
      { data: { values: points }, mark: { type: 'line', color: colours.kept, strokeWidth: 1.25 } },
      ...(points.length === 1
        ? [{ data: { values: points }, mark: { type: 'point' as const, filled: true, color: colours.kept } }]
        : []),
      {
        data: { values: bestStep > 0 ? [{ step: bestStep }] : [] },
        mark: { type: 'rule', color: colours.soft, strokeDash: [3, 3] },
        encoding: { y: { value: 0 }, y2: { value: 240 } },
      },
      {
        data: { values: validation },
        mark: {
          type: 'line',
          color: colours.transfer,
          strokeWidth: 1.5,
          point: { filled: true, size: 45, color: colours.transfer },
        },
      },
      {
        data: { values: best ? [best] : [] },
        mark: {
          type: 'point',
          shape: 'diamond',
          size: 170,
          filled: true,
          opacity: 1,
          color: colours.transfer,
          stroke: colours.text,
        },
      },
    ],
    encoding: {
      x: {
        field: 'step',
        type: 'quantitative',
        title: 'step',
        scale: { domain: [0, Math.max(1, losses.length)], nice: false },
        axis: { grid: false, format: '~s', tickMinStep: 1 },
      },
      y: {
        field: 'loss',
        type: 'quantitative',
        title: 'loss',
        scale: { zero: false },
        axis: { tickCount: 5 },
      },
    },
  };
}
