/** What a row's text costs grows with its length and no faster: who releases rows cannot stop who evaluates them. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { answerTokens } from '../../../src/data/answers.ts';
import { parseRow } from '../../../src/data/rows.ts';
import type { TextTokens } from '../../../src/data/text-tokens.ts';

const million = 2 ** 20;

/** The text that an answer's tokens are asked for alone: the prompt without what goes to the answer. */
async function promptAlone(prompt: string): Promise<string> {
  let alone = '';
  const tokens = {
    where: 'row 1',
    leadingTo: async (text: string) => {
      alone = text;
      return Int32Array.of(1);
    },
    open: async () => Int32Array.of(1, 2),
    prefix: () => 0,
  };
  await answerTokens(prompt, [' z'], tokens as unknown as TextTokens);
  return alone;
}

const scene = (text: string) =>
  parseRow({ activity_label: 'a', ctx_a: text, ctx_b: 'b', endings: ['x', 'y'], label: 0 }, 'hellaswag') as {
    prompt: string;
  };

const within = async (milliseconds: number, work: () => unknown) => {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  expect((user + system) / 1000).toBeLessThan(milliseconds);
};

it.each([
  ['spaces in the middle', `x${' '.repeat(million)}y`],
  ['spaces at the end', `x${' '.repeat(million)}`],
  ['spaces between words', 'x  '.repeat(million / 2)],
])('a million of %s of a prompt are looked at once', (_, prompt) => within(1000, () => promptAlone(prompt)));

it.each([
  ['brackets that nothing closes', '['.repeat(million)],
  ['brackets that only another line closes', `${'['.repeat(million)}\n]`],
  ['lines that open one', '[\n'.repeat(million / 2)],
  ['marks', '[a]'.repeat(million / 2)],
])('a million of %s in a scene are looked at once', (_, text) => within(1500, () => scene(text)));

it('takes the same off as the expressions of before', async () => {
  const texts = fc.string({ unit: fc.constantFrom('[', ']', '\n', ' ', 'x', '\u2003', '\x1d', '\u200b') });
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const [, cleared = ''] = /^a: (.*) B$/s.exec(scene(`(${text})`).prompt) ?? [];
      expect(cleared).toBe(`(${text})`.replaceAll(/\[[^\n]*?\]/g, '').replaceAll('  ', ' '));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: four separators are white space there
      const python = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/;
      expect(await promptAlone(text)).toBe(text.replace(python, ''));
    }),
  );
});
