// The preference runs as a table, out of their kept findings alone.
import type { Finding } from './findings.ts';
import { type Setting, settings } from './settings.ts';

const columns = [
  ...['objective', 'learning rate', 'pairs', 'full model', 'emulator', 'tuned emulator', 'plug-in'],
  ...['plug-in less full', 'in standard errors'],
];

export function preferenceTable(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'No run was kept yet.';
  const lines = settings.flatMap(({ name }) => findings.filter((found) => found.name === name).map(line));
  return [`| ${columns.join(' | ')} |`, `|${' --- |'.repeat(columns.length)}`, ...lines].join('\n');
}

function line({ objective, learningRate, cells, differences, samples }: Finding): string {
  const gain = differences!.find(({ name }) => name === 'plugIn - fullZeroShot')!;
  return `| ${[
    written(objective),
    learningRate,
    samples,
    shown(cells.fullZeroShot),
    shown(cells.emulatorZeroShot),
    shown(cells.emulatorFineTuned),
    shown(cells.plugIn),
    shown(gain),
    (Number(gain.value) / Number(gain.stderr)).toFixed(1),
  ].join(' | ')} |`;
}

const written = (objective: Setting['objective']) =>
  `\`{${Object.entries(objective)
    .map(([name, value]) => `${name}: ${name === 'type' ? value : `"${value}"`}`)
    .join(', ')}}\``;

const shown = ({ value, stderr }: { readonly value: string; readonly stderr: string }) =>
  `${Number(value).toFixed(3)} ± ${Number(stderr).toFixed(3)}`;
