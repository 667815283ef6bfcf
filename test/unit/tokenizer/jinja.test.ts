import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TemplateWriter } from '../../../src/tokenizer/program/template-writer.ts';

/** What transformers makes of each (test/reference/chat_templates.py); null where it raises an error. */
interface Reference {
  readonly conversations: readonly (readonly { role: string; content: string }[])[];
  readonly cases: Readonly<Record<string, { template: string; written: readonly (object | null)[] }>>;
}
const { conversations, cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/chat-templates.json', import.meta.url), 'utf8'),
) as Reference;

/** What transformers writes and offsite refuses. */
const refused: Readonly<Record<string, RegExp>> = {
  'for-recursive': /a recursive loop/,
  'rare-recursive': /a recursive loop/,
  'else-break': /break or continue in a loop with else/,
  'else-continue': /break or continue in a loop with else/,
  round: /the filter round/,
  html: /the filter e,/,
  'rare-filter': /the filter batch/,
  raw: /a raw block/,
  'rare-raw': /a raw block/,
  'rare-joiner': /joiner/,
  'gen-macro': /generation tags inside/,
  'gen-set-upper': /generation tags inside/,
  'gen-set-length': /generation tags inside/,
  'gen-set-trim': /generation tags inside/,
  'gen-nested': /generation tags inside/,
};

describe('chat templates have the text that transformers writes, or are refused', () => {
  test.each(Object.entries(cases))('%s', (name, { template, written }) => {
    const writer = new TemplateWriter({ text: template, specialTokens: { eos_token: '<|end|>' } });
    for (const [i, messages] of conversations.entries()) {
      const own = writer.write({ messages, generationPrompt: false });
      const expected = written[i];
      if (expected === null) expect('text' in own).toBe(false);
      else if (name in refused) expect(own).toEqual({ failed: expect.stringMatching(refused[name]!) });
      else expect(own).toEqual(expected);
    }
  });
});
