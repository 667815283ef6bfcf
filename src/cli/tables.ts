// What a PlugIn measured, as text for a terminal: the cells of an evaluation, and what became of several adapters.
import { type PartyVerdict, type PlugInStatus, partyName, printable, type TaskResult } from '../api/index.ts';

const cellTitles = {
  fullZeroShot: 'full model, zero-shot',
  emulatorZeroShot: 'emulator, zero-shot',
  emulatorFineTuned: 'emulator, fine-tuned',
  plugIn: 'full model with the adapter plugged in',
} as const;

/** The cells of a task and what lies between them, printable. */
export function evaluationTable({ task, metric, samples, cells, differences = [] }: TaskResult): string {
  const rows = Object.entries(cellTitles).map(([name, title]) => {
    const { value, stderr } = cells[name as keyof typeof cellTitles];
    return `  ${title.padEnd(40)} ${value} ± ${stderr}`;
  });
  const gains = differences.map(
    ({ name, value, stderr, low, high }) =>
      `  ${name.padEnd(40)} ${signed(value)} ± ${stderr}   95%: ${signed(low)} to ${signed(high)}`,
  );
  return printed([`${task}: ${metric} on ${samples} rows`, ...rows, '', ...gains]);
}

/**
 * A line a party: what it changed, whether it was taken, and by how much each task's cell is another with it; printable.
 * Undefined where one adapter was plugged in.
 * @param name of the PlugIn
 */
export function partiesTable(name: string, { aggregate, parties = [] }: PlugInStatus): string | undefined {
  if (aggregate === undefined || parties.length === 0) return undefined;
  const lines = parties.map((party, i) => [
    partyName(party, i),
    `norm ${party.norm}`,
    `distance ${party.distance}`,
    takenOf(party),
    ...(party.without ?? []).map(
      ({ task, difference }) => `${task} ${signed(difference.value)} ± ${difference.stderr} with it`,
    ),
  ]);
  const width = (column: number) => Math.max(...lines.map((line) => line[column]?.length ?? 0));
  const aligned = lines.map((line) => line.map((cell, column) => cell.padEnd(width(column))).join('   '));
  const title = `${name}: ${parties.length} adapters made one by ${aggregate.method}`;
  return printed([title, ...aligned.map((line) => `  ${line.trimEnd()}`)]);
}

const takenOf = ({ taken, leftOut }: PartyVerdict): string =>
  leftOut > 0 ? `left out at ${leftOut} of ${taken + leftOut} layers` : 'taken';

const signed = (figure: string) => (figure.startsWith('-') ? figure : `+${figure}`);

const printed = (lines: readonly string[]): string => lines.map(printable).join('\n');
