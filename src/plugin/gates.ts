// The acceptance criteria of an adapter: inequalities between the measured cells.
import { isJudged } from '../api/index.ts';
import type { MetricName } from '../evaluation/index.ts';
import type { CellName, CellValues } from './measured.ts';

/** How much a gate lets the better side fall short, in the metric's own unit, by gate name. */
export type Tolerances = Readonly<Partial<Record<GateName, number>>>;

export interface GateResult {
  name: string;
  passed: boolean;
  message: string;
}

/** The inequalities of offsite-tuning (Xiao et al., arXiv 2302.04870): why there is a reason to send the adapter back. */
const gates = {
  emulatorBelowFull: { better: 'fullZeroShot', worse: 'emulatorZeroShot' },
  plugInAboveFullZeroShot: { better: 'plugIn', worse: 'fullZeroShot' },
  plugInAboveEmulatorFineTuned: { better: 'plugIn', worse: 'emulatorFineTuned' },
} as const satisfies Record<string, { better: CellName; worse: CellName }>;

export type GateName = keyof typeof gates;

/**
 * Checks every inequality on one task's cells, as they were measured, by a metric that judges; perplexity is better when lower.
 * Gates without a tolerance get 0. Only the plug-in may equal the full model; the other two inequalities are strict. A figure
 * that is not finite is that of a destroyed model, and passes nothing.
 */
export function checkGates(
  task: string,
  metric: MetricName,
  values: CellValues,
  tolerances: Tolerances = {},
): GateResult[] {
  if (!isJudged(metric)) return [];
  const sign = metric === 'perplexity' ? -1 : 1;
  return (Object.keys(gates) as GateName[]).map((name) => {
    const { better, worse } = gates[name];
    const tolerance = tolerances[name] ?? 0;
    const [high, low] = [values[better], values[worse]];
    const spare = sign * (high - low) + tolerance;
    const slack = roundingOf(high, low, tolerance);
    const isMet = name === 'plugInAboveFullZeroShot' ? spare >= -slack : spare > slack;
    return {
      name: `${task}/${name}`,
      passed: Number.isFinite(high) && Number.isFinite(low) && isMet,
      message: `${metric}: ${better} ${high.toFixed(4)}, ${worse} ${low.toFixed(4)}, tolerance ${tolerance}${beyondFigures(high, low)}`,
    };
  });
}

/** By how much doubles may miss an equality of decimals: 0.3 - 0.31 is below -0.01. Far less than one row of any data. */
const roundingOf = (...values: number[]) => 8 * Number.EPSILON * Math.max(...values.map(Math.abs));

/** Two figures that look equal and are not. */
const beyondFigures = (a: number, b: number) =>
  a !== b && a.toFixed(4) === b.toFixed(4) ? ` (difference ${(a - b).toExponential(1)})` : '';
