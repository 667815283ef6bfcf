import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Metric, metricsOf } from '../../src/api/index.ts';
import { readRows, type TaskName, tokenize } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { chosen, rowScores } from '../../src/evaluation/cells.ts';
import { packForModel } from '../../src/evaluation/index.ts';
import { scoreRows } from '../../src/evaluation/score.ts';
import { Decoder, type Model, openModel, weightsOf } from '../../src/model/index.ts';
import { smollm2 } from '../support/golden/smollm2.ts';

/** What lm-evaluation-harness says of a row: of each choice, and of the row by its metrics. */
interface Row {
  logLikelihood: number[];
  greedy: boolean[];
  acc?: number;
  /** By characters. */
  acc_norm?: number;
  /** By bytes, as our acc_norm is. */
  acc_bytes?: number;
  exact_match?: number;
}

const fixtures = join(import.meta.dirname, '../fixtures/tasks');
const { tasks: reference } = JSON.parse(readFileSync(join(fixtures, 'harness.json'), 'utf8')) as {
  tasks: Record<string, Row[]>;
};
/** Two choices this close are a tie that rounding may turn. */
const tie = 2e-3;
let engine: Engine;
let model: Model;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 2 });
  model = openModel(smollm2);
});
afterAll(async () => {
  model.close();
  await engine.dispose();
});

test.each<[file: string, format: TaskName]>([
  ['openbookqa', 'openbookqa'],
  ['arc_easy', 'arc'],
  ['arc_challenge', 'arc'],
  ['webquestions', 'webquestions'],
  ['piqa', 'piqa'],
  ['sciq', 'sciq'],
  ['race', 'race'],
  ['hellaswag', 'hellaswag'],
])('%s: every choice and every row as lm-evaluation-harness has them', async (file, format) => {
  const rows = await readRows(join(fixtures, `${file}.parquet`), format);
  const examples = await tokenize(rows, format, model.tokenizer, { maxLength: 512, mode: 'score', file });
  const likelihoods = await scoreRows(
    new Decoder(engine, model.architecture, weightsOf(model, { memory: 2 ** 30 })),
    packForModel(examples, model.architecture, { memory: 2 ** 30 }),
    { memory: 256 * 2 ** 20, stage: 'test', emit: () => {}, greedy: true },
  );
  const scores = [...likelihoods];
  const expected = reference[file]!;
  expect(scores).toHaveLength(expected.length);

  for (const [row, { logLikelihood, greedy }] of expected.entries()) {
    const [ours, bytes] = [scores[row]!.logLikelihood.slice(1), examples[row]!.bytes];
    for (const [choice, value] of logLikelihood.entries())
      expect(Math.abs(ours[choice]! - value) / Math.max(1, Math.abs(value)), `row ${row}`).toBeLessThan(1e-3);
    expect(scores[row]!.greedy!.slice(1), `row ${row}`).toEqual(greedy);
    for (const lengths of [undefined, bytes]) {
      const by = logLikelihood.map((value, choice) => value / (lengths?.[choice] ?? 1));
      const [best, second = Number.NEGATIVE_INFINITY] = by.toSorted((a, b) => b - a);
      if (best! - second > tie) expect(chosen(ours, lengths), `row ${row}`).toBe(by.indexOf(best!));
    }
  }

  const theirs = new Map<Metric, keyof Row>([
    ['acc', 'acc'],
    ['acc_norm', 'acc_bytes'],
    ['exact_match', 'exact_match'],
  ]);
  for (const metric of metricsOf[format]) {
    const { values } = rowScores(scores, examples, metric);
    const name = theirs.get(metric)!;
    expect(
      scores.map(({ row }, i) => [row, values[i]]),
      metric,
    ).toEqual(expected.map((row, i) => [i, row[name]]));
  }
});

test('the metrics of each set are the harness’s, and each is told apart from the others by some row', () => {
  const told = (name: string) => Object.keys(reference[name]![0]!).filter((key) => /^(acc|exact)/.test(key));
  for (const name of Object.keys(reference))
    expect(told(name)).toEqual(name === 'webquestions' ? ['exact_match'] : ['acc', 'acc_norm', 'acc_bytes']);
  const all = Object.values(reference).flat();
  for (const rows of Object.values(reference)) expect(rows.length).toBeGreaterThanOrEqual(12);
  expect(all.filter(({ acc, acc_bytes }) => acc !== acc_bytes)).not.toHaveLength(0);
  expect(all.filter(({ acc_norm, acc_bytes }) => acc_norm !== acc_bytes)).not.toHaveLength(0);
});

test('some answers are what greedy decoding says, most are not', () => {
  const matches = reference['webquestions']!.map(({ exact_match }) => exact_match);
  expect(matches).toContain(1);
  expect(matches).toContain(0);
});
