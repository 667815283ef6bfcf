import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { OffsiteError } from '../../../src/api/index.ts';
import { openTokenizer } from '../../../src/tokenizer/index.ts';
import { writeTinyTokenizer } from '../../tiny/tokenizer.ts';

const directory = mkdtempSync(join(tmpdir(), 'chat-'));
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  rmSync(join(directory, 'chat_template.jinja'), { force: true });
  writeTinyTokenizer(directory);
});

/** The tiny tokenizer with these fields in its configuration. */
function opened(config: object) {
  const file = join(directory, 'tokenizer_config.json');
  const written = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...written, ...config }));
  return openTokenizer(directory);
}

const messages = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
];
const short = "{% for m in messages %}[{{ m['role'] }}]{{ m.content }}{{ eos_token }}\n{% endfor %}";

describe('a chat template', () => {
  test('writes the conversation, with special tokens and what stands before an answer', () => {
    const chat = opened({ chat_template: `${short}{% if add_generation_prompt %}[assistant]{% endif %}` })
      .chat!;
    expect(chat.render(messages, false)).toBe('[user]Hi<|end|>\n[assistant]Hello<|end|>\n');
    expect(chat.render(messages.slice(0, 1), true)).toBe('[user]Hi<|end|>\n[assistant]');
  });

  test('is the default one of several', () => {
    const chat = opened({
      chat_template: [
        { name: 'tool_use', template: 'tools' },
        { name: 'default', template: short },
      ],
    }).chat!;
    expect(chat.render(messages.slice(0, 1), false)).toBe('[user]Hi<|end|>\n');
  });

  test('may stand in a file of its own, and goes into the bundle either way', () => {
    writeFileSync(join(directory, 'chat_template.jinja'), short);
    const tokenizer = opened({ eos_token: { content: '<|end|>' } });
    expect(tokenizer.chat!.render(messages.slice(0, 1), false)).toBe('[user]Hi<|end|>\n');
    const config = tokenizer.files.find(({ name }) => name === 'tokenizer_config.json')!;
    expect(JSON.parse(new TextDecoder().decode(config.bytes))).toMatchObject({ chat_template: short });
  });

  test('knows no clock: equal rows are equal on any day', () => {
    const text = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}no day{% endif %}";
    expect(opened({ chat_template: text }).chat!.render(messages, false)).toBe('no day');
  });

  test('has loops over numbers, and refuses conversations in its own words', () => {
    const text = "{% for i in range(2) %}{{ i }}{% endfor %}{{ raise_exception('no ' + messages[0].role) }}";
    expect(() => opened({ chat_template: text }).chat!.render(messages, false)).toThrow('no user');
  });

  test('that is not there is undefined, and a broken one is named', () => {
    expect(opened({}).chat).toBeUndefined();
    let thrown: unknown;
    try {
      opened({ chat_template: '{% for %}' });
    } catch (error) {
      thrown = error;
    }
    expect((thrown as OffsiteError).reason).toBe('BadModel');
    expect((thrown as OffsiteError).message).toContain('tokenizer.json: its chat template cannot be used');
  });
});
