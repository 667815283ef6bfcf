// The key figures of the analyses: best coefficient, loss barrier, layers that matter most.
import type { AnalysisSummary } from '../../api/index.ts';
import { figuresOf, type Measured } from './by-task.ts';
import type { AnalysisRecord } from './record.ts';

type Point = Pick<Measured, 'at' | 'loss'>;

/** The analyses in a few numbers a task, small enough for a status. */
export function summaryOf(record: AnalysisRecord): AnalysisSummary[] {
  return record.tasks.flatMap(({ task, samples }, i): AnalysisSummary[] => {
    const { plugIn, line, deleted, rewound } = figuresOf(record, i);
    if (plugIn === undefined) return [];
    return [
      {
        task,
        samples,
        loss: text(plugIn.loss),
        ...interpolationOf(line, plugIn),
        ...optional('deleted', changesOf(deleted, plugIn.loss)),
        ...optional('rewound', changesOf(rewound, plugIn.loss)),
      },
    ];
  });
}

function interpolationOf(
  line: readonly Point[],
  plugIn: Point,
): Pick<AnalysisSummary, 'interpolation'> | undefined {
  if (line.length === 0) return undefined;
  // The plug-in lies on it, too, wherever the list has its places.
  const all = line.some(({ at }) => at === plugIn.at) ? line : [...line, plugIn];
  const best = all.reduce((found, point) => (point.loss < found.loss ? point : found));
  const full = line.find(({ at }) => at === 0);
  return {
    interpolation: {
      ...(full && { fullLoss: text(full.loss) }),
      bestCoefficient: String(best.at),
      bestLoss: text(best.loss),
      ...(full && plugIn.at > 0 && optional('barrier', barrierText(line, full, plugIn))),
    },
  };
}

function barrierText(line: readonly Point[], full: Point, plugIn: Point): string | undefined {
  const barrier = barrierOf(line, full, plugIn);
  return barrier === undefined ? undefined : text(barrier);
}

/**
 * How far the loss between the two ends rises above the straight line between theirs, in nats: 0 where they are linearly
 * connected (Frankle et al., arXiv 1912.05671, section 2). Undefined where nothing between them was measured.
 */
export function barrierOf(line: readonly Point[], full: Point, plugIn: Point): number | undefined {
  const between = line.filter(({ at }) => at > full.at && at < plugIn.at);
  if (between.length === 0) return undefined;
  const rises = between.map(({ at, loss }) => {
    const share = (at - full.at) / (plugIn.at - full.at);
    return loss - ((1 - share) * full.loss + share * plugIn.loss);
  });
  return Math.max(0, ...rises);
}

function changesOf(layers: readonly Point[], loss: number): AnalysisSummary['deleted'] {
  const largest = extreme(layers, (a, b) => a.loss > b.loss);
  const smallest = extreme(layers, (a, b) => a.loss < b.loss);
  const change = (point: Point) => ({ layer: point.at, change: text(point.loss - loss) });
  return largest && smallest && { largest: change(largest), smallest: change(smallest) };
}

/** The first of the points that is before no other. */
const extreme = (points: readonly Point[], before: (a: Point, b: Point) => boolean): Point | undefined =>
  points.reduce<Point | undefined>(
    (best, point) => (best === undefined || before(point, best) ? point : best),
    undefined,
  );

const optional = <K extends string, T>(key: K, value: T | undefined): { [k in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [k in K]?: T });

const text = (value: number) => value.toFixed(4);
