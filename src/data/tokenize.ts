// From validated rows to tokenised examples: one rule for each format, one check of length for all.
import { badData } from '../api/index.ts';
import type { RunningTokenizer, Tokenizer } from '../tokenizer/index.ts';
import { type AnswerTokens, answerTokens, mostTokens, textsAtOnce } from './answers.ts';
import { conversationTokens } from './chat.ts';
import { type Example, tokenCount } from './example.ts';
import { partsOf } from './parts.ts';
import { tokensOfThread } from './row-room.ts';
import type { Format, RowOf } from './rows.ts';
import type { TaskName } from './tasks/index.ts';
import { mostCharacters, TextTokens } from './text-tokens.ts';

export interface TokenizeOptions {
  /** The most tokens of a row: of the text, or of the prompt with any one of its branches. */
  readonly maxLength: number;
  /** The longest row that the model has positions for; any length when absent. */
  readonly positions?: number | undefined;
  /** `train` keeps only the right choice or the chosen answer, `score` all of them. */
  readonly mode: 'train' | 'score';
  /** The rows' file, for messages. */
  readonly file: string;
  /** How many of the file's rows stand before them, for messages; none when absent. */
  readonly before?: number;
  /** Whether nothing may follow from what several rows take together: each is held against a share of its own; false when absent. */
  readonly hidden?: boolean;
  /** Whether the work is no longer wanted. */
  readonly cancelled?: () => boolean;
}

/** Rows whose texts go to the tokenizer together: no more, and no more texts and characters than may (or one row's). */
const rowsAtOnce = 256;
const charactersAtOnce = 8 * 2 ** 20;

/**
 * Turns rows into tokens. Text is cut at `maxLength` tokens (and at 2^20 characters); a prompt or an answer never is.
 * @throws OffsiteError BadData with the row's number, counted from 1, when a prompt and its answer, or the model's positions, do not fit, without it when all
 * tokens are more than are held; BadModel where the tokenizer or its chat template cannot be used; Cancelled
 */
export async function tokenize<F extends Format>(
  rows: readonly RowOf[F][],
  format: F,
  tokenizer: Pick<Tokenizer, 'start'>,
  options: TokenizeOptions,
): Promise<Example[]> {
  const rule: Rule<F> = rules[format];
  const { cancelled } = options;
  const running = await tokenizer.start(cancelled === undefined ? {} : { cancelled });
  const exampleOf = async (fields: RowOf[F], row: number) => {
    const where = `${options.file}: row ${(options.before ?? 0) + row + 1}`;
    const tokens = new TextTokens(running, where);
    const example = { row, ...(await rule(fields, tokens, { ...options, tokenizer: running })) };
    checkLength(example, { ...options, where });
    // At once: those of a part together may be more than the heap has beside what is counted.
    if (options.hidden) tokensOfThread.addHidden(where, example, rows.length);
    else tokensOfThread.add(options.file, example);
    return example;
  };
  const examples: Example[] = [];
  try {
    for (let start = 0; start < rows.length; ) {
      const part = rows.slice(start, start + partOf(rows, start));
      const results = await Promise.allSettled(part.map((fields, i) => exampleOf(fields, start + i)));
      for (const result of results) {
        if (result.status === 'rejected') throw result.reason;
        examples.push(result.value);
      }
      start += part.length;
    }
  } finally {
    running.close();
  }
  return examples;
}

/** How many rows from there go together. */
function partOf(rows: readonly unknown[], start: number): number {
  let [count, texts, characters] = [0, 0, 0];
  while (count < rowsAtOnce && start + count < rows.length) {
    const row = mostOf(rows[start + count]);
    texts += row.texts;
    characters += row.characters;
    if (count > 0 && (texts > textsAtOnce || characters > charactersAtOnce)) break;
    count++;
  }
  return count;
}

/** What a row's texts come to at most: each choice is read with its prompt, each answer of a conversation with all before it. */
function mostOf(row: unknown): { texts: number; characters: number } {
  let [texts, longest] = [0, 0];
  const look = (value: unknown): void => {
    if (typeof value === 'string') {
      texts++;
      longest = Math.max(longest, value.length);
    } else if (typeof value === 'object' && value !== null) Object.values(value).forEach(look);
  };
  look(row);
  return { texts, characters: texts * longest };
}

type Rule<F extends Format> = (
  row: RowOf[F],
  tokens: TextTokens,
  options: TokenizeOptions & { tokenizer: RunningTokenizer },
) => Promise<Omit<Example, 'row'>>;

/** A prompt, and after one space each of its choices. */
const question: Rule<TaskName> = async ({ prompt, choices, answer }, tokens, { mode }) => {
  const kept = mode === 'train' ? [choices[answer]!] : choices;
  const continuations = kept.map((choice) => ` ${choice}`);
  return {
    ...(await answerTokens(prompt, continuations, tokens)),
    answer: mode === 'train' ? 0 : answer,
    bytes: kept.map((choice) => Buffer.byteLength(choice)),
  };
};

/** A prompt and its answers as they stand, and the end token behind each. */
async function endedAnswers(
  prompt: string,
  answers: readonly string[],
  tokens: TextTokens,
): Promise<AnswerTokens> {
  const { branches, ...rest } = await answerTokens(prompt, answers, tokens);
  return { ...rest, branches: branches.map((branch) => [...branch, tokens.end()]) };
}

const rules: { [F in Format]: Rule<F> } = {
  text: async ({ text }, tokens, { maxLength }) => ({
    trunk: [...(await tokens.whole(text.slice(0, mostCharacters))).subarray(0, maxLength)],
    branches: [],
    bytes: [],
  }),
  completion: async ({ prompt, completion }, tokens) => ({
    ...(await endedAnswers(prompt, [completion], tokens)),
    answer: 0,
    bytes: [Buffer.byteLength(completion)],
  }),
  preference: async ({ prompt, chosen, rejected }, tokens, { mode }) => {
    const answers = mode === 'train' ? [chosen] : [rejected, chosen];
    const ended = await endedAnswers(prompt, answers, tokens);
    const [first, second] = ended.branches;
    if (second !== undefined && first!.join() === second.join())
      throw badData(`${tokens.where}: the tokenizer makes the same tokens of both answers; remove the row`);
    const bytes = answers.map((answer) => Buffer.byteLength(answer.trimStart()));
    return { ...ended, answer: answers.length - 1, bytes };
  },
  multipleChoice: ({ question: asked, context, choices, answer }, tokens, options) =>
    question(
      {
        prompt: `${context === undefined ? '' : `${context}\n`}Question: ${asked}\nAnswer:`,
        choices: choices.map((choice) => choice.trimStart()),
        answer,
      },
      tokens,
      options,
    ),
  chat: async ({ messages }, tokens, { tokenizer }) => {
    const { tokens: trunk, spans } = await conversationTokens(messages, tokenizer, tokens);
    return { trunk, branches: [], spans, bytes: [] };
  },
  openbookqa: question,
  arc: question,
  webquestions: question,
  piqa: question,
  sciq: question,
  race: question,
  hellaswag: question,
};

function checkLength(
  example: Example,
  { maxLength, positions = Number.POSITIVE_INFINITY, where }: TokenizeOptions & { where: string },
): void {
  const { trunk, branches, spans } = example;
  if (spans !== undefined && trunk.length > maxLength)
    throw badData(
      `${where}: its answers would be cut: the conversation has more tokens than maxLength ${maxLength}; raise maxLength or shorten the row`,
    );
  if (trunk.length === 0 && branches.length === 0)
    throw badData(`${where}: the tokenizer makes no token of a text in it; remove the row`);
  const longest = trunk.length + Math.max(0, ...branches.map((branch) => branch.length));
  if (branches.length > 0 && longest > maxLength)
    throw badData(
      `${where}: its answer would be cut: with its prompt it has more tokens than maxLength ${maxLength}; raise maxLength or shorten the row`,
    );
  if (longest > positions)
    throw badData(
      `${where}: has more tokens than the ${positions} that the model has positions for; lower maxLength to ${positions}, or shorten the row`,
    );
  const parts = partsOf(example, maxLength);
  const count = parts.reduce((sum, part) => sum + tokenCount(part), 0);
  if (count > mostTokens)
    throw badData(
      `${where}: its ${branches.length} choices take more than ${mostTokens} tokens in all, with the prompt in each sequence of them;` +
        ' leave choices out, shorten the prompt or raise maxLength',
    );
}
