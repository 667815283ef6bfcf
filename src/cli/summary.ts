// The text with which a run ends on a terminal: evaluations, then each resource's outcome.
import { type PlugInStatus, printable } from '../api/index.ts';
import type { RunResource } from './run.ts';
import { evaluationTable, partiesTable } from './tables.ts';

/**
 * What a run ends with on a terminal, printable: the cells of each evaluation, the parties of each aggregation, then one line
 * a resource with its artifact.
 */
export function summary(runs: readonly RunResource[]): string {
  const tables = runs.flatMap(({ resource, status }) =>
    [
      ...((status as PlugInStatus).evaluation ?? []).map(evaluationTable),
      partiesTable(resource.metadata.name, status as PlugInStatus) ?? [],
    ].flat(),
  );
  return [...tables, runs.map(line).join('\n'), counts(runs)].join('\n\n');
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
