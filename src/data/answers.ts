// From a prompt and its continuations to tokens: where the prompt ends and each answer begins.
import { badData } from '../api/index.ts';
import type { TextTokens } from './text-tokens.ts';

/** Answers to one prompt, in tokens. */
export interface AnswerTokens {
  readonly trunk: readonly number[];
  readonly branches: readonly (readonly number[])[];
  readonly starts?: readonly number[];
}

/**
 * The tokens of a prompt with each of its continuations, as the whole texts have them: a tokenizer may join what stands on
 * both sides of the seam, or put a mark before each text. What lies behind as many tokens as the prompt alone has is the
 * answer (lm-evaluation-harness's rule). The trunk is what all whole texts begin with, and no more than the prompt.
 * @throws OffsiteError BadData where an answer has no token of its own, or all of them are too long together, as texts or as tokens
 */
export async function answerTokens(
  prompt: string,
  continuations: readonly string[],
  tokens: TextTokens,
): Promise<AnswerTokens> {
  checkTogether(prompt, continuations, tokens.where);
  const kept = withoutSpacesAtTheEnd(prompt);
  const spaces = prompt.slice(kept.length);
  const [alone, wholes] = await Promise.all([
    tokens.leadingTo(kept),
    inPieces(continuations, (continuation) => tokens.open(`${kept}${spaces}${continuation}`)),
  ]);
  const texts = alone.length === 0 ? wholes.map((whole) => behind(tokens.prefix(), whole)) : wholes;
  const length = Math.max(1, alone.length);
  for (const text of texts)
    if (text.length <= length)
      throw badData(
        `${tokens.where}: an answer has no token of its own: the tokenizer joins it to the end of its prompt, or makes no token of it; move the end of the prompt to the answer, or remove the row`,
      );
  const trunk = sharedStart(texts, length);
  if (texts.reduce((sum, text) => sum + text.length - trunk, trunk) > mostTokens)
    throw badData(
      `${tokens.where}: it has more than ${mostTokens} tokens in all; shorten the row or leave choices out`,
    );
  return {
    trunk: [...texts[0]!.subarray(0, trunk)],
    branches: texts.map((text) => [...text.subarray(trunk)]),
    ...(trunk < length ? { starts: texts.map(() => length - trunk) } : {}),
  };
}

/** Of a row in all, its prompt counted in each sequence that it takes. */
export const mostTokens = 131_072;

function behind(first: number, others: Int32Array): Int32Array {
  const all = new Int32Array(1 + others.length);
  all[0] = first;
  all.set(others, 1);
  return all;
}

/** Texts that are asked of the tokenizer together: each takes about a kilobyte of the heap until it is answered. */
export const textsAtOnce = 16_384;

async function inPieces<T, R>(all: readonly T[], ask: (one: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  for (let start = 0; start < all.length; start += textsAtOnce)
    answers.push(...(await Promise.all(all.slice(start, start + textsAtOnce).map(ask))));
  return answers;
}

/** Of a prompt with each of its continuations; what has as many tokens as a row may have comes to far less. */
const mostTogether = 4 * 2 ** 20;

/** Each continuation is read with its prompt, so that a long prompt with many costs their product. */
function checkTogether(prompt: string, continuations: readonly string[], where: string): void {
  const characters = continuations.reduce((sum, { length }) => sum + prompt.length + length, 0);
  if (characters > mostTogether)
    throw badData(
      `${where}: its prompt with each of its ${continuations.length} choices comes to ${characters} characters, and a row may have ${mostTogether} in all; shorten the prompt or leave choices out`,
    );
}

/** Those go to the answer, since tokens are words with the space before them. Looked for from the end: that takes no longer for many. */
function withoutSpacesAtTheEnd(text: string): string {
  let end = text.length;
  while (end > 0 && space.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** What Python takes for white space. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: four separators are white space there
const space = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** How many of the first tokens are the same in all texts, `most` at the most. */
function sharedStart([first, ...others]: readonly Int32Array[], most: number): number {
  let shared = 0;
  while (shared < most && others.every((other) => other[shared] === first![shared])) shared++;
  return shared;
}
