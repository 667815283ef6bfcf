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
  'rsplit-overlap': /the text of a list or mapping/,
  'else-break': /break or continue in a loop with else/,
  'else-continue': /break or continue in a loop with else/,
  skipped: /the filter int with such arguments/,
  float: /a number with a point/,
  pow: /the operator \*\*/,
  sort: /the filter sort/,
  'loop-vars': /loop\.cycle/,
  'loop-depth': /loop\.depth/,
  'loop-changed': /loop\.changed/,
  caller: /a call of what has no name/,
  'pairs-neighbours': /loop\.previtem or loop\.nextitem of pairs/,
  'for-recursive': /a recursive loop/,
  'chain-compare': /a chain of comparisons/,
  'neg-filter': /the filter abs/,
  'float-filter': /the filter float/,
  odd: /the test divisibleby/,
  raw: /a raw block/,
  tuple: /several names that are set at once/,
  range: /range of what is not gone through at once/,
  'big-int': /a huge number/,
  unique: /the filter unique/,
  'is-in': /a test with an argument/,
  'string-methods': /a tuple/,
  html: /the filter e/,
  'gen-macro': /generation tags inside what is not written at once/,
  'set-in-filter': /the tag filter/,
  'set-block-filter': /a filter of a set block/,
  'loop-lazy-filter': /a namespace in the condition of a loop/,
  'macro-in-loop': /a macro inside of anything but if/,
  'macro-named': /a default of a macro that is no constant/,
  'namespace-mapping': /namespace with such arguments/,
  'mapping-made': /dict with such arguments/,
  'mapping-views': /keys/,
  strings: /find/,
  'strings-more': /join/,
  numbers: /the operator \//,
  'test-names': /a filter that selects with such arguments/,
  'filters-text': /the filter replace with such arguments/,
  'filter-lazy-twice': /map of what is not gone through at once/,
  'rare-filter': /the filter batch/,
  'rare-joiner': /joiner/,
  'map-kept': /map of/,
  'int-long': /int of such a text/,
  'clock-as-sequence': /it asks more of the clock/,
  'clock-in-mapping': /it asks more of the clock/,
};

describe('chat templates have the text that transformers writes, or are refused', () => {
  test.each(Object.entries(cases))('%s', (name, { template, written }) => {
    const writer = new TemplateWriter({ text: template, specialTokens: { eos_token: '<|end|>' } });
    for (const [i, messages] of conversations.entries()) {
      const own = writer.write({ messages, generationPrompt: false });
      const expected = written[i];
      if (expected === null) expect('text' in own).toBe(false);
      else if (name in refused) expect(own).toMatchObject({ failed: expect.stringMatching(refused[name]!) });
      else expect(own).toEqual({ ...expected, isMarked: expect.any(Boolean) });
    }
  });
});

test.each([
  ['{% if false %}{% generation %}x{% endgeneration %}{% endif %}', true],
  ["{{ '{% generation %}' }}{# {% generation %} #}", false],
])('whether %s has generation tags does not depend on what is reached', (text, isMarked) => {
  const writer = new TemplateWriter({ text, specialTokens: {} });
  const written = writer.write({ messages: conversations[0]!, generationPrompt: false });
  expect(written).toMatchObject({ generations: [], isMarked });
});

test.each(['split', 'rsplit'])('%s at blanks takes as long as the text is, and no longer', (method) => {
  const text = `{{ messages[0].content.${method}() | length }} {{ messages[0].content.split(none, 2) | last | length }}`;
  const writer = new TemplateWriter({ text, specialTokens: {} });
  const words = 40_000;
  const content = `  ${'ab\t'.repeat(words)} `;
  const from = performance.now();
  const written = writer.write({ messages: [{ role: 'user', content }], generationPrompt: false });
  // Its square would be minutes.
  expect(performance.now() - from).toBeLessThan(5000);
  expect(written).toMatchObject({ text: `${words} ${3 * (words - 2) + 1}` });
});
