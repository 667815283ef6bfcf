import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Example, tokenize } from '../../../src/data/index.ts';
import { openTokenizer } from '../../../src/tokenizer/index.ts';
import { type Layout, layouts, reference } from '../../support/golden/tokenizers.ts';

const directory = mkdtempSync(join(tmpdir(), 'answers-'));
afterAll(() => rmSync(directory, { recursive: true }));
const options = { maxLength: 999, mode: 'score', file: 'rows' } as const;

function opened(name: string) {
  const place = mkdtempSync(join(directory, `${name}-`));
  const { tokenizer, config } = reference<Layout>(name);
  writeFileSync(join(place, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(place, 'tokenizer_config.json'), JSON.stringify(config));
  return openTokenizer(place);
}

/** Each branch with the trunk before it, and how much of that is the prompt. */
const wholes = ({ trunk, branches, starts }: Example) =>
  branches.map((branch, i) => ({
    whole: [...trunk, ...branch],
    context: trunk.length + (starts?.[i] ?? 0),
  }));

describe.each(layouts)('%s', (name) => {
  const { pairs, chats } = reference<Layout>(name);
  const tokenizer = opened(name);

  test("answers' tokens are lm-evaluation-harness's, and those that the whole text has", async () => {
    const rows = pairs.flatMap(({ context: prompt, answers, expected }) => {
      const taken = answers.flatMap((answer, i) => {
        const { whole, context } = expected[i]!;
        return answer.startsWith(' ') && context < whole.length ? [{ answer, expected: expected[i]! }] : [];
      });
      if (taken.length === 0) return [];
      const choices = taken.map(({ answer }) => answer.slice(1));
      return [{ prompt, choices, answer: 0, expected: taken.map((one) => one.expected) }];
    });
    expect(rows.length).toBeGreaterThan(4);
    const examples = await tokenize(rows, 'openbookqa', tokenizer, options);
    expect(examples.map(wholes)).toEqual(rows.map(({ expected }) => expected));
    for (const { branches } of examples) expect(branches.every(({ length }) => length > 0)).toBe(true);
  });

  test('a completion goes on as the whole text does; one that has no token of its own is refused', async () => {
    const rows = pairs.flatMap(({ context: prompt, answers, expected }) =>
      answers.map((completion, i) => ({ prompt, completion, ...expected[i]! })),
    );
    const taken = rows.filter(({ whole, context }) => context < whole.length);
    expect((await tokenize(taken, 'completion', tokenizer, options)).map(wholes)).toEqual(
      taken.map(({ whole, context }) => [{ whole: [...whole, expect.any(Number)], context }]),
    );
    const joined = rows.filter(({ whole, context }) => context === whole.length).slice(0, 1);
    for (const row of joined)
      await expect(tokenize([row], 'completion', tokenizer, options)).rejects.toThrow(
        'row 1: an answer has no token of its own',
      );
  });

  test("conversations have the tokens of apply_chat_template, and its assistant's mask", async () => {
    const rows = chats.map(({ messages }) => ({ messages }));
    const examples = await tokenize(rows, 'chat', tokenizer, options);
    for (const [i, { ids, mask }] of chats.entries()) {
      const end = mask.lastIndexOf(1) + 1;
      const { trunk, spans } = examples[i]!;
      expect(trunk).toEqual(ids.slice(0, end));
      const ours = trunk.map((_, at) => Number(spans!.some(([from, to]) => from <= at && at < to)));
      expect(ours).toEqual(mask.slice(0, end));
    }
  });
});
