import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Message, tokenize } from '../../../src/data/index.ts';
import { Engine } from '../../../src/engine/index.ts';
import { cellOf, rowScores } from '../../../src/evaluation/cells.ts';
import { packForModel } from '../../../src/evaluation/index.ts';
import { scoreRows } from '../../../src/evaluation/score.ts';
import { Decoder, openModel, weightsOf } from '../../../src/model/index.ts';
import { type Fixture, writeCheckpoint } from '../../support/golden/families/fixture.ts';
import { type Layout, reference } from '../../support/golden/tokenizers.ts';

/** What test/reference/tokenizers_scores.py found: a small random LLaMA under several tokenizers. */
interface Scores extends Pick<Fixture, 'config' | 'dtype' | 'tensors'> {
  questions: { question: string; choices: string[]; answer: number }[];
  chats: Message[][];
  template: string;
  layouts: Record<
    string,
    { logLikelihood: number[][]; accuracy: number; perplexity: number; tokens: number }
  >;
}

const file = join(import.meta.dirname, '../../fixtures/tokenizers-scores.json');
const { questions, chats, template, layouts, ...model } = JSON.parse(readFileSync(file, 'utf8')) as Scores;
const directory = mkdtempSync(join(tmpdir(), 'scores-'));
let engine: Engine;
beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 2 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(directory, { recursive: true });
});

describe.each(Object.entries(layouts))('%s', (name, expected) => {
  test('choices have the likelihoods of the harness’s rule, conversations the perplexity of transformers', async () => {
    const path = join(directory, name);
    writeCheckpoint(path, model);
    const { tokenizer, config } = reference<Layout>(name);
    writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
    const own = { ...config, chat_template: template };
    writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(own));
    const opened = openModel(path);
    const decoder = new Decoder(engine, opened.architecture, weightsOf(opened, { memory: 2 ** 28 }));
    const options = { maxLength: 512, mode: 'score', file: 'rows' } as const;
    const score = async (examples: Awaited<ReturnType<typeof tokenize>>) =>
      scoreRows(decoder, packForModel(examples, opened.architecture, { memory: 2 ** 30 }), {
        memory: 2 ** 28,
        stage: 'test',
        emit: () => {},
        greedy: false,
      });

    const asked = await tokenize(questions, 'multipleChoice', opened.tokenizer, options);
    const answers = [...(await score(asked))];
    for (const [row, choices] of expected.logLikelihood.entries())
      for (const [choice, value] of choices.entries())
        expect(answers[row]!.logLikelihood[choice + 1], `row ${row}`).toBeCloseTo(value, 3);
    expect(cellOf(rowScores(answers, asked, 'acc'), 'acc').value).toBe(expected.accuracy);

    const rows = chats.map((messages) => ({ messages }));
    const talks = await tokenize(rows, 'chat', opened.tokenizer, options);
    const scores = rowScores(await score(talks), talks, 'perplexity');
    expect(scores.weights.reduce((sum, weight) => sum + weight)).toBe(expected.tokens);
    const { value } = cellOf(scores, 'perplexity');
    expect(value / expected.perplexity).toBeCloseTo(1, 3);
    opened.close();
  });
});
