import type { Cell, MetricName } from '../emulator/index.ts';

/** The cells of one task, as fractions or perplexities. */
export interface Cells {
  fullZeroShot: Cell;
  emulatorZeroShot: Cell;
  emulatorFineTuned: Cell;
  plugIn: Cell;
  fullFineTuned?: Cell;
}

/** How much a gate lets the better side fall short, in the metric's own unit, by gate name. */
export type Tolerances = Readonly<Partial<Record<GateName, number>>>;

export interface GateResult {
  name: string;
  passed: boolean;
  message: string;
}

/** The inequalities of METHOD.md: why there is a reason to send the adapter back. */
const gates = {
  emulatorBelowFull: { better: 'fullZeroShot', worse: 'emulatorZeroShot' },
  plugInAboveFullZeroShot: { better: 'plugIn', worse: 'fullZeroShot' },
  plugInAboveEmulatorFineTuned: { better: 'plugIn', worse: 'emulatorFineTuned' },
} as const satisfies Record<string, { better: keyof Cells; worse: keyof Cells }>;

export type GateName = keyof typeof gates;

/** Checks every inequality on one task's cells; perplexity is better when lower. Gates without a tolerance get 0. */
export function checkGates(
  task: string,
  metric: MetricName,
  cells: Cells,
  tolerances: Tolerances = {},
): GateResult[] {
  const sign = metric === 'perplexity' ? -1 : 1;
  return (Object.keys(gates) as GateName[]).map((name) => {
    const { better, worse } = gates[name];
    const tolerance = tolerances[name] ?? 0;
    const lead = sign * (cells[better]!.value - cells[worse]!.value);
    const figures = `${better} ${cells[better]!.value.toFixed(4)}, ${worse} ${cells[worse]!.value.toFixed(4)}`;
    return {
      name: `${task}/${name}`,
      // METHOD.md: only the plug-in may equal the full model; the other two are strict.
      passed: name === 'plugInAboveFullZeroShot' ? lead >= -tolerance : lead > -tolerance,
      message: `${metric}: ${figures}, tolerance ${tolerance}`,
    };
  });
}
