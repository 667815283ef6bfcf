import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { workDirectory } from '../support/golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { setField, tinyRows, writeRows, writeTinyProject } from '../support/tiny/index.ts';

const fixtures = join(import.meta.dirname, '../fixtures/tasks');
const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
let ended: Ended;

const template =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

/** The tiny questions as conversations. */
const chats = (count: number, seed: number) =>
  tinyRows.multipleChoice(count, seed).map(({ question, choices, answer }) => ({
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: choices[answer] },
    ],
  }));

beforeAll(async () => {
  writeTinyProject(work.path, {
    change: ({ build, tune, plug }) => {
      setField(build, 'spec.probe.data', { uri: 'file:data/webquestions.jsonl', format: 'webquestions' });
      setField(build, 'spec.probe.samples', 8);
      setField(build, 'spec.probe.maxLength', 128);
      setField(tune, 'spec.data', {
        uri: 'file:data/chat.jsonl',
        validation: { uri: 'file:data/chat-validation.jsonl' },
        format: 'chat',
      });
      setField(plug, 'spec.evaluation.tasks', [
        { name: 'arc', data: { uri: 'file:data/arc' }, format: 'arc', metric: 'acc_norm' },
        { name: 'web', data: { uri: 'file:data/webquestions.jsonl' }, format: 'webquestions' },
        { name: 'chat', data: { uri: 'file:data/chat-validation.jsonl' }, format: 'chat' },
      ]);
    },
  });
  const config = at('model', 'tokenizer_config.json');
  const written = JSON.parse(readFileSync(config, 'utf8')) as object;
  writeFileSync(config, JSON.stringify({ ...written, chat_template: template }));
  cpSync(join(fixtures, 'webquestions.jsonl'), at('data', 'webquestions.jsonl'));
  mkdirSync(at('data', 'arc'));
  cpSync(join(fixtures, 'arc_easy.parquet'), at('data', 'arc', 'test-00000-of-00002.parquet'));
  cpSync(join(fixtures, 'arc_challenge.parquet'), at('data', 'arc', 'test-00001-of-00002.parquet'));
  writeRows(at('data', 'chat.jsonl'), chats(40, 2));
  writeRows(at('data', 'chat-validation.jsonl'), chats(8, 3));
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

test('a probe of WebQuestions, training on conversations, an evaluation of sets in Parquet shards', () => {
  expect(ended.code, ended.stderr).toBe(0);
  const status = (kind: string) =>
    savedStatus(at('work'), kind, 'tiny') as unknown as Record<string, unknown>;
  expect(status('EmulatorBuild')['scores']).toMatchObject({ metric: 'exact_match', samples: 8 });
  const { training, validation } = status('OffsiteTune') as {
    training: { firstLoss: string; lastLoss: string };
    validation: { metric: string; samples: number };
  };
  expect(Number(training.lastLoss)).toBeLessThan(Number(training.firstLoss));
  expect(validation).toMatchObject({ metric: 'perplexity', samples: 8 });
  expect(status('PlugIn')['evaluation']).toMatchObject([
    { task: 'arc', metric: 'acc_norm', samples: 24 },
    { task: 'web', metric: 'exact_match', samples: 16 },
    { task: 'chat', metric: 'perplexity', samples: 8 },
  ]);
});

test('a model without a chat template is refused by name', async () => {
  const config = at('model', 'tokenizer_config.json');
  const { chat_template: _, ...rest } = JSON.parse(readFileSync(config, 'utf8')) as Record<string, unknown>;
  writeFileSync(config, JSON.stringify(rest));
  const refused = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
  expect(refused.code).toBe(1);
  expect(savedStatus(at('work'), 'OffsiteTune', 'tiny').conditions).toContainEqual(
    expect.objectContaining({
      type: 'Failed',
      reason: 'BadModel',
      message: expect.stringContaining('the tokenizer has no chat template'),
    }),
  );
});
