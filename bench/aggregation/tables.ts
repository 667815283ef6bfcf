// The attack matrix as tables, out of its kept cells alone.
import { bootstrap, type Estimate } from '../../src/evaluation/index.ts';
import { attacks } from './attacks.ts';
import { atTheDoor, type Finding, untouched } from './findings.ts';
import {
  attackers,
  course,
  methods,
  parties,
  rowsEach,
  skewed,
  testRows,
  trainedLayers,
} from './settings.ts';

const honest = parties - attackers;

export function matrixTables(findings: readonly Finding[]): string {
  const cellOf = (attack: string, method: string) =>
    findings.find((found) => found.attack === attack && found.method === method);
  const reference = cellOf('none', 'mean');
  if (reference === undefined) return 'No run was kept yet.';
  const alone = cellOf('none', untouched);
  const seen = attacks.filter(({ name }) =>
    methods.some((method) => cellOf(name, method.name) !== undefined),
  );
  const door = attacks.flatMap(({ name, sent }) => {
    const refused = cellOf(name, atTheDoor)?.refused;
    return refused === undefined ? [] : [`- ${name} (${sent}): ${refused}`];
  });
  return [
    intro(alone, reference),
    'Right answers of the plug-in, and in brackets how much more than the mean without an attack, with the standard error of rows in pairs; **bold**: worse by more than two of them.',
    tableOf(
      ['method', ...seen.map(({ name }) => name)],
      methods.map(({ name }) => [name, ...seen.map((attack) => shown(cellOf(attack.name, name), reference))]),
    ),
    `The mean negative log-likelihood of the right answers' tokens (nats; ${alone?.loss?.toFixed(2) ?? 'not run'} of the full model alone), a finer measure of what was learnt, without errors:`,
    tableOf(
      ['method', ...seen.map(({ name }) => name)],
      methods.map(({ name }) => [name, ...seen.map((attack) => lossOf(cellOf(attack.name, name)))]),
    ),
    `Layers left out: of the ${attackers} attackers' ${attackers * trainedLayers} / of the honest parties' ${honest * trainedLayers}. Methods that choose by weight leave out no whole layer.`,
    tableOf(
      ['method', ...seen.map(({ name }) => name)],
      methods.map(({ name }) => [name, ...seen.map((attack) => leftOut(cellOf(attack.name, name)))]),
    ),
    `What the attackers send (g: the change that they trained; a mean or deviation is of the ${honest} honest changes):`,
    seen.map(({ name, sent }) => `- ${name}: ${sent}`).join('\n'),
    ...(door.length > 0 ? ['Refused before any method sees it:', door.join('\n')] : []),
    skew(findings, alone),
  ].join('\n\n');
}

function intro(alone: Finding | undefined, reference: Finding): string {
  return [
    `${parties} parties, each with ${rowsEach} questions about words of its own, trained the last ${trainedLayers} layers of an emulator of`,
    `SmolLM2-135M (the other layers at 35 % of their parameters) for ${course.steps} steps of ${course.batchSize} rows; the last ${attackers} attack. Each plug-in is the`,
    `full model with what came of all ten, on the same ${testRows} test questions. The full model alone answers ${rate(alone)} of them,`,
    `the mean without an attack ${rate(reference)}. One training of each party; the error is of test rows, not of trainings.`,
  ].join('\n');
}

/** The run in which some honest parties have another task. */
function skew(findings: readonly Finding[], alone: Finding | undefined): string {
  const lines = methods.flatMap(({ name }) => {
    const [mixed, plain] = [skewed, 'none'].map((attack) =>
      findings.find((found) => found.attack === attack && found.method === name),
    );
    if (mixed === undefined) return [];
    return [
      [
        name,
        rate(plain),
        left(plain, 0, parties),
        rate(mixed),
        left(mixed, 0, honest),
        left(mixed, honest, parties),
      ],
    ];
  });
  if (lines.length === 0) return '';
  return [
    '**Nobody attacks.** Once with ten parties of the same kind of rows, and once with three of the ten that have another task (which president said it when).',
    `The full model alone answers ${rate(alone)} of the words rightly.`,
    '',
    tableOf(
      [
        ...['method', 'ten alike: words', `their layers left out (of ${parties * trainedLayers})`],
        ...['three others: words'],
        `layers left out of the seven (of ${honest * trainedLayers})`,
        `of the three (of ${attackers * trainedLayers})`,
      ],
      lines,
    ),
  ].join('\n');
}

const tableOf = (columns: readonly string[], lines: readonly (readonly string[])[]): string =>
  [columns, columns.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

function shown(found: Finding | undefined, reference: Finding): string {
  if (found === undefined) return 'not run';
  if (found.refused !== undefined) return 'refused';
  const value = rightOf(found.rows);
  if (found === reference) return value.toFixed(2);
  const gain = difference(found.rows, reference.rows);
  if (gain === undefined) return value.toFixed(2);
  const text = `${value.toFixed(2)} (${signed(gain.value)} ± ${gain.stderr.toFixed(2)})`;
  return gain.value < -2 * gain.stderr ? `**${text}**` : text;
}

function lossOf(found: Finding | undefined): string {
  if (found === undefined) return 'not run';
  if (found.refused !== undefined) return 'refused';
  return found.loss === null ? 'not finite' : found.loss.toFixed(2);
}

const signed = (value: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(2)}`;

function leftOut(found: Finding | undefined): string {
  if (found === undefined) return 'not run';
  if (found.refused !== undefined) return 'refused';
  return `${left(found, honest, parties)} / ${left(found, 0, honest)}`;
}

/** Layers of the parties from one to another that were left out. */
const left = (found: Finding | undefined, from: number, to: number): string =>
  found === undefined || found.refused !== undefined
    ? ''
    : String(found.taken.slice(from, to).reduce((sum, taken) => sum + found.layers - taken, 0));

function rate(found: Finding | undefined): string {
  const rows = found?.rows;
  if (rows === undefined || rows === '') return '';
  const estimate = bootstrap(
    [...rows].map((right) => [Number(right), 1]),
    share,
  ) as Estimate;
  return `${estimate.value.toFixed(2)} ± ${estimate.stderr.toFixed(2)}`;
}

const rightOf = (rows: string) => [...rows].filter((right) => right === '1').length / rows.length;

const difference = (rows: string, others: string): Estimate | undefined =>
  bootstrap(
    [...rows].map((right, i) => [Number(right) - Number(others[i]), 1]),
    share,
  );

const share = ([sum = 0, count = 0]: readonly number[]) => sum / count;
