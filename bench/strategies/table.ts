// What each way to an emulator costs, beside the one that only compares layers.
import type { BuildCost, StageCost } from './stages.ts';

export interface Cost extends BuildCost {
  readonly key: string;
  readonly way: string;
}

/**
 * @param first the way that the others are told as multiples of
 * @param passes of a way, in words
 */
export function costTable(costs: readonly Cost[], first: string, passes: (way: string) => string): string {
  const base = costs.find(({ way }) => way === first)?.probe;
  if (base === undefined) return 'Nothing was measured yet.';
  const stage = ({ seconds, peakBytes }: StageCost) => [
    seconds.toFixed(0),
    `${Math.round(peakBytes / 1e6)} MB`,
  ];
  const lines = costs.map(({ way, probe, assemble }) => {
    const times = (probe.seconds + assemble.seconds) / base.seconds;
    return `| ${[way, passes(way), ...stage(probe), ...stage(assemble), times.toFixed(1)].join(' | ')} |`;
  });
  const head = [
    'way',
    'passes',
    'probe, s',
    'memory',
    'assemble, s',
    'memory',
    'both, in probes of the first',
  ];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...lines].join('\n');
}
