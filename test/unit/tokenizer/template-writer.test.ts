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
    expect(write(text)).toEqual({ text: '[user]Hi<|end|>\n[assistant]Hello<|end|>\n', generations: [] });
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

  test('that reads how generation tags are marked reads nothing that is another one the next time', () => {
    const text =
      '{% set t %}{% generation %}{% endgeneration %}{% endset %}{{ t[1:9] }}{% generation %}{{ messages[1].content }}{% endgeneration %}';
    expect(write(text)).toEqual(write(text));
    expect(write(text)).toMatchObject({ generations: [[8, 13]] });
  });

  test('tells a mark from what a conversation says, whatever another was marked by', () => {
    const marks = write('{% set t %}{% generation %}{% endgeneration %}{% endset %}{{ t[1:] }}');
    if (!('text' in marks)) throw new Error('it was refused');
    const content = `\uFDD0${marks.text}`;
    const text = 'a {% generation %}{{ messages[0].content }}{% endgeneration %}';
    const said = [{ role: 'assistant', content }];
    expect(
      new TemplateWriter({ text, specialTokens: {} }).write({ messages: said, generationPrompt: false }),
    ).toEqual({ text: `a ${content}`, generations: [[2, 2 + content.length]] });
  });

  test('refuses conversations in its own words, which stay there', () => {
    expect(write("{{ raise_exception('no ' + messages[0].content) }}")).toEqual({ refused: true });
  });

  test('knows no clock: equal rows are equal on any day', () => {
    const text = "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}no day{% endif %}";
    expect(write(text)).toMatchObject({ text: 'no day' });
  });

  test.each([
    [
      "{{ strftime_now('%d %b %Y') }}",
      'it calls strftime_now (the clock: equal rows must give equal tokens on any day), which is not given to templates',
    ],
    ['{{ lookup(messages[0].content) }}', 'it calls lookup, which is not given to templates'],
    ['{{ messages.sum() }}', 'it calls sum, which is not given to templates'],
    ['{{ messages[0].content | shout }}', 'it uses an unknown filter: shout'],
    ['{% if messages[0].content is loud %}{% endif %}', 'it uses an unknown test: loud'],
    ['{{ messages | upper }}', 'an expression in it fails'],
    ['{{ messages[0].content.pop() }}', 'it calls what is no function, which is not given to templates'],
    ['{{ range(1000000000) }}', 'it asks for a range of more than 100000 numbers, or of none that ends'],
    ['{{ range(1, 9, 0) }}', 'it asks for a range of more than 100000 numbers, or of none that ends'],
    ['{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', 'its calls are nested deeper than 100'],
    ['{{ messages - messages[0].content }}', 'an expression in it fails'],
    [
      '{% set a = namespace(t="x") %}{% for i in range(25) %}{% set a.t = a.t ~ a.t %}{% endfor %}{{ a.t }}',
      'it writes more than 1048576 characters of a conversation',
    ],
  ])('%s is named, without a word of the conversation', (text, failed) => {
    expect(write(text)).toEqual({ failed });
  });

  test.each<[string, (word: string) => string, string]>([
    ['a filter', (word) => `{{ p | ${word} }}`, 'it uses an unknown filter: one'],
    ['a filter with arguments', (word) => `{{ p | ${word}(1) }}`, 'it uses an unknown filter: one'],
    ['a test', (word) => `{{ p is ${word} }}`, 'it uses an unknown test: one'],
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
    expect(words).toEqual([{ failed }, { failed }]);
  });

  test('that is no Jinja is not taken', () => {
    expect(() => new TemplateWriter({ text: '{% for %}', specialTokens: {} })).toThrow('Unexpected token');
  });
});
