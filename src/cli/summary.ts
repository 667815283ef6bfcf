// The text with which a run ends on a terminal: evaluations, then each resource's outcome.
import { type PlugInStatus, printable, type TaskResult } from '../api/index.ts';
import type { RunResource } from './run.ts';

/**
 * What a run ends with on a terminal, printable: the cells of each evaluation, then one line a resource with its artifact.
 */
export function summary(runs: readonly RunResource[]): string {
  const tables = runs.flatMap(({ status }) => ((status as PlugInStatus).evaluation ?? []).map(table));
  return [...tables, runs.map(line).join('\n'), counts(runs)].join('\n\n');
}

const cellTitles = {
  fullZeroShot: 'full model, zero-shot',
  emulatorZeroShot: 'emulator, zero-shot',
  emulatorFineTuned: 'emulator, fine-tuned',
  plugIn: 'full model with the adapter plugged in',
} as const;

function table({ task, metric, samples, cells, differences = [] }: TaskResult): string {
  const rows = Object.entries(cellTitles).map(([name, title]) => {
    const { value, stderr } = cells[name as keyof typeof cellTitles];
    return `  ${title.padEnd(40)} ${value} ± ${stderr}`;
  });
  const gains = differences.map(
    ({ name, value, stderr, low, high }) =>
      `  ${name.padEnd(40)} ${signed(value)} ± ${stderr}   95%: ${signed(low)} to ${signed(high)}`,
  );
  return [`${task}: ${metric} on ${samples} rows`, ...rows, '', ...gains].map(printable).join('\n');
}

function line({ resource, status }: RunResource): string {
  const { artifact } = status;
  const name = `${resource.kind} ${resource.metadata.name}`.padEnd(28);
  if (artifact !== undefined)
    return printable(`${name} ${status.phase}  ${artifact.digest}  ${artifact.uri}`);
  const why = status.conditions?.findLast(({ status: value }) => value === 'True');
  return printable(`${name} ${status.phase}  ${why?.reason ?? ''}: ${why?.message ?? ''}`);
}

function counts(runs: readonly RunResource[]): string {
  const phases = new Map<string, number>();
  for (const { status } of runs)
    phases.set(status.phase ?? 'Pending', (phases.get(status.phase ?? 'Pending') ?? 0) + 1);
  return [...phases].map(([phase, count]) => `${count} ${phase}`).join(', ');
}

const signed = (figure: string) => (figure.startsWith('-') ? figure : `+${figure}`);
