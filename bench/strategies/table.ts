// What each way to an emulator costs, beside the one that only compares layers.
export interface StageCost {
  /** Of the processor, all threads. */
  readonly seconds: number;
  readonly peakBytes: number;
}

export interface Cost {
  readonly key: string;
  readonly way: string;
  /** The pass over the probe's rows, with all that is observed in it. */
  readonly probe: StageCost;
  /** Choosing, deriving, refining and writing; no scores. */
  readonly assemble: StageCost;
}

/** @param first the way that the others are told as multiples of */
export function costTable(costs: readonly Cost[], first: string): string {
  const base = costs.find(({ way }) => way === first)?.probe;
  if (base === undefined) return 'Nothing was measured yet.';
  const stage = ({ seconds, peakBytes }: StageCost) => [
    seconds.toFixed(0),
    `${Math.round(peakBytes / 1e6)} MB`,
  ];
  const lines = costs.map(({ way, probe, assemble }) => {
    const times = (probe.seconds + assemble.seconds) / base.seconds;
    return `| ${[way, ...stage(probe), ...stage(assemble), times.toFixed(1)].join(' | ')} |`;
  });
  const head = ['way', 'probe, s', 'memory', 'assemble, s', 'memory', 'both, in probes of the first'];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...lines].join('\n');
}
