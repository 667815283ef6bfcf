import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tokenize } from '../../src/data/index.ts';
import { openTokenizer } from '../../src/tokenizer/index.ts';
import { tinyTokenizer } from '../support/tiny/tokenizer.ts';

const directory = mkdtempSync(join(tmpdir(), 'told-'));
afterAll(() => rmSync(directory, { recursive: true }));
const limits = { seconds: 2, memory: 400 * 2 ** 20 };

function opened(change: object, config: object = {}) {
  const place = mkdtempSync(join(directory, 'model-'));
  writeFileSync(join(place, 'tokenizer.json'), JSON.stringify({ ...tinyTokenizer(), ...change }));
  writeFileSync(join(place, 'tokenizer_config.json'), JSON.stringify(config));
  const tokenizer = openTokenizer(place);
  return {
    tokenizer,
    bounded: { start: (options = {}) => tokenizer.start({ ...options, limits }) },
  };
}

const options = { maxLength: 500, mode: 'train', file: 'rows.jsonl' } as const;
const endOf = (work: Promise<unknown>) =>
  work.then(
    () => 'written',
    ({ reason, message }) => `${reason}: ${message}`,
  );

const looping = '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}';
/** What a word may lead to. */
const faults = {
  huge: '{{ 4503599627370495 + 1 }}',
  endless: "{{ 'a' * 9999999 }}",
  indent: "{{ 'a'|indent(2000) }}",
  number: "{{ 'x9y'|int }}",
  place: '{{ messages[true] }}',
  list: '{{ [1] }}',
  deep: '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
  clock: "{{ strftime_now('%Y')|length }}",
  long: "{% for i in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
  space: '{% set s = namespace() %}{{ s }}',
  sum: "{{ 1 + 'a' }}",
  hidden: "{{ messages['__class__'] }}",
  called: '{{ look_up() }}',
  range: '{% for i in range(1000000000) %}{% endfor %}',
  refused: "{{ raise_exception('no') }}",
  time: looping,
  memory:
    '{% set a = namespace(l=[]) %}{% for i in range(99999) %}{% set a.l = a.l + (range(99999) | list) %}{% endfor %}',
};
const chat_template = `${Object.entries(faults)
  .map(([word, fault]) => `{%- if '${word}' == messages[0].content %}${fault}{% endif %}`)
  .join('')}
{%- if 'nothing' == messages[0].content %}{% elif 'otherwise' == messages[0].content %}{{ messages | length }}
{%- for m in messages %}{{ m.content }}{% endfor %}
{%- else %}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% endif %}`;

describe('how a stranger’s template or tokenizer fails on private rows is told in one sentence', () => {
  const rowOf = (word: string) => ({
    messages: [
      { role: 'user' as const, content: word },
      { role: 'assistant' as const, content: 'rest' },
    ],
  });

  test.each([...Object.keys(faults), 'nothing', 'otherwise'])(
    'where a word leads a template to the fault %s',
    async (word) => {
      const { bounded } = opened({}, { chat_template });
      const rows = [rowOf(word), rowOf('a cold')];
      expect(await endOf(tokenize(rows, 'chat', bounded, options))).toMatch(
        /^BadData: rows\.jsonl: row 1: the model's chat template does not write these messages so that they can be learned: it refuses them .* \(try it on public messages: offsite verify\)$/,
      );
    },
  );

  const told =
    /^BadModel: .*tokenizer\.json: the tokenizer cannot be used: it fails on some text of the rows, or takes more time or memory for it than it may; try it on public ones \(offsite verify\)$/;
  const split = (Regex: string) => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  });
  const doubling = { type: 'Replace', pattern: { Regex: 'b' }, content: 'bb' };
  const change = {
    normalizer: { type: 'Sequence', normalizers: Array.from({ length: 32 }, () => doubling) },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split('(a+)+$'), split('(?=(?:c|cc){1,28}d)')] },
  };

  test.each([
    ['a pattern that gives up', `${'a'.repeat(60)}!`],
    ['a text that doubles', 'b'],
    ['a pattern that takes long', 'c'.repeat(60_000)],
  ])('where a word leads a tokenizer to %s', async (_, text) => {
    const { bounded } = opened(change);
    expect(await endOf(tokenize([{ text: 'x' }, { text }], 'text', bounded, options))).toMatch(told);
  });

  test('where no word does, the same template and tokenizer do', async () => {
    const { bounded } = opened(change, { chat_template });
    expect(await endOf(tokenize([rowOf('a cold')], 'chat', bounded, options))).toBe('written');
  });

  test('also of a row that waited for its tokens when another’s conversation ended the process', async () => {
    const running = await opened({}, { chat_template }).tokenizer.start({ limits });
    try {
      const written = running.write({ messages: rowOf('time').messages, generationPrompt: false });
      await new Promise((resolve) => setTimeout(resolve, 500));
      const encoded = endOf(running.encode('x'));
      expect(await written).toBeUndefined();
      expect(await encoded).toMatch(/^BadModel: /);
    } finally {
      running.close();
    }
  });

  test('what no text led to is said: a template that is no Jinja', async () => {
    const { bounded } = opened({}, { chat_template: '{% for %}' });
    expect(await endOf(tokenize([rowOf('a cold')], 'chat', bounded, options))).toMatch(
      /^BadModel: .*tokenizer\.json: its chat template cannot be used: it is no Jinja: name is missing$/,
    );
  });
});
