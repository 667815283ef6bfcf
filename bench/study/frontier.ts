// The study's figure: what a setting teaches over what its tuned emulator is able to, one point a setting.
import type { TopLevelSpec } from 'vega-lite';
import type { Estimate } from '../../src/evaluation/index.ts';
import { colours } from '../../src/report/plots/theme.ts';
import { difference, recovered } from './estimates.ts';
import type { Finding } from './experiment.ts';
import { picture } from './picture.ts';
import { aim, settings } from './settings.ts';

interface Point {
  readonly setting: string;
  readonly exact: boolean;
  readonly leak: Estimate;
  readonly gain: Estimate;
}

/** An SVG of its own, or undefined where no setting has both figures. @param findings of one model and task */
export async function frontier(findings: readonly Finding[], id: string): Promise<string | undefined> {
  const points = settings.flatMap(({ name, full }): Point[] => {
    const runs = findings.filter(({ setting }) => setting === name);
    const gain = recovered(runs, findings);
    const leak = difference(runs.map(({ rows }) => [rows.emulatorFineTuned, rows.fullZeroShot]));
    const exact = runs.some(({ exactShare }) => exactShare.parameters > aim.exact);
    return full || gain === undefined || leak === undefined ? [] : [{ setting: name, exact, leak, gain }];
  });
  if (points.length === 0) return undefined;
  return picture(plot(points), {
    id,
    title: 'What is recovered against what the tuned emulator is able to',
    text: points
      .map(({ setting, leak, gain }) => `${setting}: ${gain.value.toFixed(2)} at ${leak.value.toFixed(2)}`)
      .join('; '),
  });
}

const kinds = [`at most ${100 * aim.exact} % exact`, `more than ${100 * aim.exact} % exact`];

function plot(points: readonly Point[]): TopLevelSpec {
  const values = points.map(({ setting, exact, leak, gain }) => ({
    setting,
    kind: kinds[exact ? 1 : 0],
    ...{ x: leak.value, xLow: leak.low, xHigh: leak.high, y: gain.value, yLow: gain.low, yHigh: gain.high },
  }));
  const quantitative = { type: 'quantitative' as const };
  const at = { x: { field: 'x', ...quantitative }, y: { field: 'y', ...quantitative } };
  const color = {
    field: 'kind',
    type: 'nominal' as const,
    title: null,
    scale: { domain: kinds, range: [colours.transfer, colours.kept] },
    legend: { orient: 'bottom' as const, labelLimit: 0 },
  };
  const aimed = (encoding: object) => ({
    data: { values: [{ leak: 0, gain: aim.recovered }] },
    mark: { type: 'rule' as const, color: colours.soft, strokeDash: [4, 4] },
    encoding,
  });
  const error = (encoding: object) => ({
    mark: { type: 'rule' as const, strokeWidth: 1.25, opacity: 0.6 },
    encoding: { ...encoding, color },
  });
  return {
    width: 640,
    height: 380,
    data: { values },
    layer: [
      aimed({ x: { field: 'leak', ...quantitative } }),
      aimed({ y: { field: 'gain', ...quantitative } }),
      error({ x: { field: 'xLow', ...quantitative }, x2: { field: 'xHigh' }, y: at.y }),
      error({ x: at.x, y: { field: 'yLow', ...quantitative }, y2: { field: 'yHigh' } }),
      { mark: { type: 'point', filled: true, size: 90, opacity: 1 }, encoding: { ...at, color } },
      {
        mark: { type: 'text', align: 'left', dx: 8, dy: -8 },
        encoding: { ...at, text: { field: 'setting' } },
      },
    ],
    encoding: {
      x: { title: 'tuned emulator less untuned full model', axis: { grid: false } },
      y: { title: 'recovered of what training in the full model gains', axis: { tickCount: 6 } },
    },
  };
}
