// What aggregation costs, as a table of what was measured.
export interface Cost {
  readonly type: string;
  readonly method: string;
  readonly layers: number;
  readonly parties: number;
  /** Whether factors of the parties' own rank came of it. */
  readonly asAdapter: boolean;
  /** Processor seconds of digests and checks, and of what makes one adapter of all. */
  readonly opening: number;
  readonly aggregating: number;
  readonly peakBytes: number;
}

export function costTable(costs: readonly Cost[]): string {
  if (costs.length === 0) return 'Nothing was measured yet.';
  const lines = costs.map(
    ({ type, asAdapter, method, parties, layers, opening, aggregating, peakBytes }) =>
      `| ${[
        asAdapter ? `${type}, to an adapter` : type,
        parties,
        layers,
        method,
        opening.toFixed(0),
        aggregating.toFixed(0),
        `${Math.round(peakBytes / 1e6)} MB`,
      ].join(' | ')} |`,
  );
  const head = ['adapters', 'parties', 'layers', 'method', 'checks, s', 'aggregation, s', 'peak memory'];
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...lines].join('\n');
}
