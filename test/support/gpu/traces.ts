// What onnxruntime's traces say of where operators ran.
import { globSync, readFileSync } from 'node:fs';

interface Event {
  readonly cat: string;
  readonly args?: {
    readonly provider?: string;
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/**
 * Operators on floats that ran on the CPU. Those on indices alone (int64, few) may: there are no kernels for that type.
 * @param traces which files, as a pattern
 */
export function operatorsOnCpu(traces: string): string[] {
  const events = globSync(traces).flatMap((file) => JSON.parse(readFileSync(file, 'utf8')) as Event[]);
  if (events.length === 0) throw new Error(`no trace is ${traces}`);
  const names = events
    .filter(({ cat, args }) => cat === 'Node' && args?.provider === 'CPUExecutionProvider')
    .filter(({ args }) => (args?.input_type_shape ?? []).some((type) => 'float' in type))
    .map(({ args }) => args?.op_name ?? '');
  return [...new Set(names)].sort();
}
