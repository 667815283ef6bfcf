// The plot of distances between neighbouring layers.
import type { TopLevelSpec } from 'vega-lite';
import type { Plan } from '../../emulator/index.ts';
import { colours } from './theme.ts';

/** Similarities nearer to 1 than this are drawn as this far from it: a logarithm has no place for 0. */
const nearest = 1e-8;

/**
 * How far each two neighbouring layers are from being alike, 1 - similarity on a logarithmic axis: similarities close to 1
 * differ in nothing else. Pairs between two clusters stand out.
 */
export function adjacentPlot(
  adjacent: readonly number[],
  plan: Plan | undefined,
  width: number,
): TopLevelSpec {
  const starts = new Set(plan?.clusters.map(([first]) => first));
  const values = adjacent.map((similarity, j) => ({
    pair: j + 0.5,
    distance: Math.max(nearest, 1 - similarity),
    place: starts.has(j + 1) ? 'between' : 'inside',
  }));
  const size = Math.max(12, Math.min(60, (width / adjacent.length) * 3));
  const decades = decadesOf(values.map(({ distance }) => distance));
  const place = (range: string[]) => ({
    field: 'place',
    type: 'nominal' as const,
    legend: null,
    scale: { domain: ['between', 'inside'], range },
  });
  return {
    width,
    height: 170,
    autosize: { type: 'fit-x', contains: 'padding' },
    data: { values },
    layer: [
      { mark: { type: 'line', color: colours.removed, strokeWidth: 1 } },
      {
        mark: { type: 'point', filled: true, size, opacity: 1 },
        encoding: { color: place([colours.transfer, colours.kept]), shape: place(['diamond', 'circle']) },
      },
    ],
    encoding: {
      x: {
        field: 'pair',
        type: 'quantitative',
        title: 'between layers',
        scale: { domain: [0, Math.max(1, adjacent.length)], nice: false },
        axis: { grid: false, format: 'd', tickMinStep: 1 },
      },
      y: {
        field: 'distance',
        type: 'quantitative',
        title: '1 − similarity',
        scale: { type: 'log', domain: [decades[0] as number, decades.at(-1) as number], nice: false },
        axis: { values: decades, format: '~g' },
      },
    },
  };
}

/** The powers of ten around the values. */
function decadesOf(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(0.1, ...values)));
  const last = Math.ceil(Math.log10(Math.max(...values, 10 ** (first + 1))));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`));
}
