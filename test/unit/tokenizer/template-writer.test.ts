import { describe, expect, test } from 'vitest';
import { TemplateWriter } from '../../../src/tokenizer/program/template-writer.ts';

const messages = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
];
const write = (text: string, { count = 2, generationPrompt = false } = {}) =>
  new TemplateWriter({ text, specialTokens: { eos_token: '<|end|>' } }).write({
    messages: messages.slice(0, count),
    generationPrompt,
  });

describe('a chat template', () => {
  test('writes the conversation, with special tokens and what stands before an answer', () => {
    const text =
      "{% for m in messages %}[{{ m['role'] }}]{{ m.content }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    expect(write(text)).toEqual({
      text: '[user]Hi<|end|>\n[assistant]Hello<|end|>\n',
      generations: [],
      isMarked: false,
    });
    expect(write(text, { count: 1, generationPrompt: true })).toMatchObject({
      text: '[user]Hi<|end|>\n[assistant]',
    });
  });

  test('has JSON as Python writes it, numbers in loops, and what transformers defines beside', () => {
    expect(
      write("{% for i in range(4, 0, -2) %}{{ i }} {% endfor %}{{ {'a': ['ü', none]} | tojson }}"),
    ).toEqual({
      text: '4 2 {"a": ["ü", null]}',
      generations: [],
      isMarked: false,
    });
  });

  test('marks answers by generation tags, and the blanks around these tags are as elsewhere', () => {
    const text =
      '{% for m in messages %}\n<{{ m.role }}>\n{% generation %}\n{{ m.content }}!\n{%- endgeneration %}\n\n{% endfor %}';
    const written = write(text);
    if (!('text' in written)) throw new Error('it was refused');
    expect(written.text).toBe('<user>\nHi!\n<assistant>\nHello!\n');
    expect(written.generations.map(([from, to]) => written.text.slice(from, to))).toEqual(['Hi!', 'Hello!']);
  });

  test('refuses conversations in its own words, which stay there', () => {
    expect(write("{{ raise_exception('no ' + messages[0].content) }}")).toEqual({ refused: true });
  });

  test('has a clock that stands still, and whose day may only be written: equal rows are equal on any day', () => {
    const day = '{% if strftime_now is defined %}{{ "On " + strftime_now("%d %b %Y, %A") }}{% endif %}';
    expect(write(day)).toMatchObject({ text: 'On 26 Jul 2024, Friday' });
    const captured = '{% set t %}{{ strftime_now("%Y") }}{% endset %}';
    const macro = '{% macro m() %}{{ strftime_now("%Y") }}{% endmacro %}{% set t = m() %}';
    const plain = '{% set t = "" ~ strftime_now("%Y") %}';
    for (const set of [captured, macro, plain]) {
      expect(write(`${set}{{ t }}`)).toMatchObject({ text: '2024' });
      for (const asked of [
        '== "x"',
        '| length',
        'in "x"',
        '[0]',
        '~ "" == "x"',
        '.upper()',
        '| upper',
        'or 1',
      ])
        expect(write(`${set}{{ t ${asked} }}`)).toMatchObject({ failed: expect.any(String) });
    }
  });

  test.each([
    ['{{ lookup(messages[0].content) }}', 'it calls lookup, which is not given to templates'],
    ['{{ messages.sum() }}', 'it calls sum, which is not given to templates'],
    ['{{ messages[0].content | shout }}', 'it uses the filter shout, which is not supported'],
    ['{% if messages[0].content is loud %}{% endif %}', 'it uses the test loud, which is not supported'],
    ['{{ messages[0].content.pop() }}', 'it calls pop, which is not given to templates'],
    ['{{ messages[0]() }}', 'it calls what is no function, which is not given to templates'],
    ['{{ messages[0].content | urlize }}', 'it uses the filter urlize, which is not supported'],
    ["{% include 'x' %}", 'it uses the tag include, which is not supported'],
    [
      '{% macro m() %}{% generation %}{% endgeneration %}{% endmacro %}',
      'it uses generation tags inside what is not written at once, which is not supported',
    ],
    ['{{ cycler(1) }}', 'it uses cycler, which is not supported'],
    ['{{ messages[0].content.center(9) }}', 'it calls center, which is not given to templates'],
    [
      '{% for i in range(1000000000) %}{% endfor %}',
      'it asks for a range of more than 100000 numbers, or of none that ends',
    ],
    ['{% for i in range(1, 9, 0) %}{% endfor %}', 'an expression in it fails'],
    ['{{ messages[0].content.x.y }}', 'an expression in it fails'],
    ['{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', 'its calls are nested deeper than 100'],
    ['{{ messages - messages[0].content }}', 'an expression in it fails'],
    [
      '{% set a = namespace(t="x") %}{% for i in range(25) %}{% set a.t = a.t ~ a.t %}{% endfor %}{{ a.t }}',
      'it writes more than 1048576 characters of a conversation',
    ],
  ])('%s is named, without a word of the conversation', (text, failed) => {
    expect(write(text)).toMatchObject({ failed });
  });

  test.each<[string, (word: string) => string, string]>([
    ['a filter', (word) => `{{ p | ${word} }}`, 'it uses the filter one, which is not supported'],
    [
      'a rare filter',
      (word) => `{{ p | ${word === 'one' ? 'format' : 'urlize'} }}`,
      'it uses the filter format, which is not supported',
    ],
    [
      'a filter with arguments',
      (word) => `{{ p | ${word}(1) }}`,
      'it uses the filter one, which is not supported',
    ],
    ['a test', (word) => `{{ p is ${word} }}`, 'it uses the test one, which is not supported'],
    ['a function', (word) => `{{ ${word}() }}`, 'it calls one, which is not given to templates'],
    ['a method', (word) => `{{ p.${word}() }}`, 'it calls one, which is not given to templates'],
    ['a variable', (word) => `{{ ${word} + p }}`, 'an expression in it fails'],
  ])('says nothing of a conversation by the name of %s that it comes to', (_, use, failed) => {
    const text = ['one', 'Hi', 'Hello']
      .map((word) => `{%- set p = messages[0].content %}{% if p == '${word}' %}${use(word)}{% endif %}`)
      .join('');
    const words = [messages, messages.slice(1)].map((said) =>
      new TemplateWriter({ text, specialTokens: {} }).write({ messages: said, generationPrompt: false }),
    );
    expect(words).toMatchObject([{ failed }, { failed }]);
  });

  test('that is no Jinja is not taken, which only a conversation needs', () => {
    expect(write('{% for %}')).toEqual({ failed: 'it is no Jinja: name is missing', isOfText: true });
  });
});
