import { globSync, readFileSync } from 'node:fs';

interface TraceEvent {
  cat: string;
  name: string;
  dur: number;
  args?: { op_name?: string };
}

/** Seconds in each operator, largest first, out of onnxruntime's traces. */
export function operatorSeconds(traces: string): Record<string, number> {
  const spent = new Map<string, number>();
  for (const file of globSync(`${traces}*.json`))
    for (const { cat, name, dur, args } of JSON.parse(readFileSync(file, 'utf8')) as TraceEvent[]) {
      const operator = args?.op_name;
      if (cat !== 'Node' || operator === undefined || !name.endsWith('_kernel_time')) continue;
      spent.set(operator, (spent.get(operator) ?? 0) + dur / 1e6);
    }
  return Object.fromEntries([...spent].sort(([, a], [, b]) => b - a));
}

/** The share of each operator in the time of all, largest first. */
export function operatorShares(traces: string): Record<string, number> {
  const seconds = operatorSeconds(traces);
  const all = Object.values(seconds).reduce((sum, time) => sum + time, 0);
  return Object.fromEntries(Object.entries(seconds).map(([operator, time]) => [operator, time / all]));
}
