// The parties: rows of their own, and what each trained on them, by the program itself.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, sha256 } from '../../src/artifact/index.ts';
import { type Resource, resource, root, runResources } from '../resources.ts';
import { attackers, course, parties, rowsEach, type TaskName, trainedLayers } from './settings.ts';

const work = join(root, '.offsite/aggregation');
export const modelDirectory = join(root, '.offsite/models/smollm2');
export const bundleDirectory = join(work, 'emulator');
export const testFile = join(root, '.offsite/data/words/test.jsonl');
/** What is kept of the test rows' states below the trained layers. */
export const statesFile = join(work, 'states.bin');

/** Where what is made of adapters lies for a while, of this process alone. */
export const scratch = join(work, `scratch-${process.pid}`);

interface Question {
  readonly choices: readonly string[];
  readonly answer: number;
}

/** What a party trains on: which rows of a task, and whether each answer is the next choice. */
interface Rows {
  readonly name: string;
  readonly task: TaskName;
  readonly from: number;
  readonly rotated: boolean;
}

/** The directories of all parties' adapters, honestly trained on one task; what was trained before is not trained again. */
export const honestParties = () =>
  train(rowsOf(parties, 0, (i) => ({ name: `honest-${i}`, task: 'words', rotated: false })));

/** Of the attackers', trained on rotated answers. */
export const flippedParties = () =>
  train(
    rowsOf(attackers, parties - attackers, (i) => ({ name: `flipped-${i}`, task: 'words', rotated: true })),
  );

/** Of as many, honestly trained on another task. */
export const otherParties = () =>
  train(rowsOf(attackers, 0, (i) => ({ name: `other-${i}`, task: 'speeches', rotated: false })));

const rowsOf = (count: number, first: number, of: (index: number) => Omit<Rows, 'from'>): Rows[] =>
  Array.from({ length: count }, (_, i) => ({ ...of(first + i), from: (first + i) * rowsEach }));

/** Other settings are known by other places, so that what lies there need not be looked through again. */
function train(rows: readonly Rows[]): string[] {
  const left = rows.filter(({ name }) => !existsSync(adapterDirectory(name)));
  if (left.length > 0) runResources(work, [emulatorBuild(), ...left.map(tuning)]);
  return rows.map(({ name }) => adapterDirectory(name));
}

const adapterDirectory = (name: string) =>
  join(work, 'adapters', sha256(canonicalJson({ course, rowsEach, trainedLayers })).slice(7, 15), name);

function emulatorBuild(): Resource {
  const data = { uri: `file:${join(root, '.offsite/data/words/probe.jsonl')}`, format: 'text' };
  return resource('EmulatorBuild', 'parties', {
    model: { uri: `file:${modelDirectory}` },
    probe: { data, samples: 64, maxLength: course.maxLength, skipFirst: true },
    strategy: 'none',
    compression: { type: 'lowRank', ratio: '0.35' },
    transferLayers: { count: trainedLayers, placement: 'top' },
    evaluation: { limit: 2 },
    engine: { threads: 1 },
    output: { uri: `file:${bundleDirectory}` },
  });
}

function tuning(rows: Rows): Resource {
  return resource('OffsiteTune', rows.name, {
    emulator: { ref: { name: 'parties' } },
    data: { uri: `file:${writeRows(rows)}`, format: 'multipleChoice' },
    adapter: { type: 'layers' },
    training: { ...course, seed: 1 },
    engine: { threads: 1 },
    output: { uri: `file:${adapterDirectory(rows.name)}` },
  });
}

function writeRows({ name, task, from, rotated }: Rows): string {
  const lines = readFileSync(join(root, '.offsite/data', task, 'train.jsonl'), 'utf8')
    .trimEnd()
    .split('\n');
  const own = lines.slice(from, from + rowsEach).map((line) => JSON.parse(line) as Question);
  if (own.length < rowsEach) throw new Error(`${task}: ${lines.length} rows are too few for ${name}`);
  const turned = own.map((row) => ({ ...row, answer: (row.answer + Number(rotated)) % row.choices.length }));
  const file = join(work, 'rows', `${name}.jsonl`);
  mkdirSync(join(work, 'rows'), { recursive: true });
  writeFileSync(`${file}.part`, turned.map((row) => `${JSON.stringify(row)}\n`).join(''));
  renameSync(`${file}.part`, file);
  return file;
}
