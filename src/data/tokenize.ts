import { badData, badModel } from '../api/index.ts';
import type { Tokenizer as ModelTokenizer } from '../tokenizer/index.ts';
import { conversationOf } from './chat.ts';
import type { Format, RowOf } from './rows.ts';
import type { TaskName } from './tasks/index.ts';

type Tokenizer = Pick<ModelTokenizer, 'encode' | 'eos'> & Partial<Pick<ModelTokenizer, 'chat'>>;

/**
 * One tokenised row. The trunk comes first; each branch is a continuation of it, so that a prompt is computed once for
 * all its choices. The targets are the branches' tokens. A row without branches is text: its targets are the tokens in
 * `spans`, or every token but the first.
 */
export interface Example {
  /** The row's place in the rows given, counted from 0. */
  readonly row: number;
  readonly trunk: readonly number[];
  readonly branches: readonly (readonly number[])[];
  /** The parts of a text that are targets, [from, to) each, ascending, none with token 0. */
  readonly spans?: readonly (readonly [from: number, to: number])[];
  /** Which branch is right, counted from 0; absent for text. */
  readonly answer?: number;
  /** UTF-8 bytes of each branch's text without the leading space (for acc_norm). */
  readonly bytes: readonly number[];
}

export interface TokenizeOptions {
  /** The most tokens of a row: of the text, or of the prompt with any one of its branches. */
  readonly maxLength: number;
  /** `train` keeps only the right choice, `score` all of them. */
  readonly mode: 'train' | 'score';
  /** The rows' file, for messages. */
  readonly file: string;
  /** How many of the file's rows stand before them, for messages; none when absent. */
  readonly before?: number;
}

/**
 * Turns rows into tokens. Text is cut at `maxLength`; a prompt or an answer never is.
 * @throws OffsiteError BadData with the row's number, counted from 1, when a prompt and its answer do not fit.
 */
export function tokenize<F extends Format>(
  rows: readonly RowOf[F][],
  format: F,
  tokenizer: Tokenizer,
  options: TokenizeOptions,
): Example[] {
  const rule: Rule<F> = rules[format];
  return rows.map((fields, row) => {
    const where = `${options.file}: row ${(options.before ?? 0) + row + 1}`;
    const example = { row, ...rule(fields, tokenizer, { ...options, where }) };
    checkLength(example, { ...options, where });
    return example;
  });
}

/** How many tokens a row takes in a packed sequence: the trunk once, and every branch. */
export function tokenCount({ trunk, branches }: Example): number {
  return branches.reduce((sum, branch) => sum + branch.length, trunk.length);
}

type Rule<F extends Format> = (
  row: RowOf[F],
  tokenizer: Tokenizer,
  options: TokenizeOptions & { where: string },
) => Omit<Example, 'row'>;

/** The prompt's last spaces go to the choices, as in lm-evaluation-harness: tokens are words with the space before them. */
const question: Rule<TaskName> = ({ prompt, choices, answer }, tokenizer, { mode }) => {
  const kept = mode === 'train' ? [choices[answer]!] : choices;
  const trunk = prompt.trimEnd();
  const space = `${prompt.slice(trunk.length)} `;
  return {
    trunk: trunkOf(trunk, tokenizer),
    branches: kept.map((choice) => branchOf(`${space}${choice}`, tokenizer)),
    answer: mode === 'train' ? 0 : answer,
    bytes: kept.map((choice) => Buffer.byteLength(choice)),
  };
};

/** Context and answer are tokenised apart and joined: special tokens in the trunk only, an end token for `completion` only. */
const rules: { [F in Format]: Rule<F> } = {
  text: ({ text }, tokenizer, { maxLength }) => ({
    trunk: trunkOf(text, tokenizer).slice(0, maxLength),
    branches: [],
    bytes: [],
  }),
  completion: ({ prompt, completion }, tokenizer) => ({
    trunk: trunkOf(prompt, tokenizer),
    branches: [[...branchOf(completion, tokenizer), endToken(tokenizer)]],
    answer: 0,
    bytes: [Buffer.byteLength(completion)],
  }),
  multipleChoice: ({ question, context, choices, answer }, tokenizer, { mode }) => {
    const kept = (mode === 'train' ? [choices[answer]!] : choices).map((choice) => choice.trimStart());
    const prompt = `${context === undefined ? '' : `${context}\n`}Question: ${question}\nAnswer:`;
    return {
      trunk: trunkOf(prompt, tokenizer),
      branches: kept.map((choice) => branchOf(` ${choice}`, tokenizer)),
      answer: mode === 'train' ? 0 : answer,
      bytes: kept.map((choice) => Buffer.byteLength(choice)),
    };
  },
  chat: ({ messages }, { encode, chat }, { where }) => {
    const { tokens, spans } = conversationOf(messages, { encode, chat }, where);
    return { trunk: tokens, branches: [], spans, bytes: [] };
  },
  openbookqa: question,
  arc: question,
  webquestions: question,
  piqa: question,
  sciq: question,
  race: question,
  hellaswag: question,
};

const trunkOf = (text: string, tokenizer: Tokenizer) => tokenizer.encode(text, { specialTokens: true });
const branchOf = (text: string, tokenizer: Tokenizer) => tokenizer.encode(text, { specialTokens: false });

function endToken({ eos }: Tokenizer): number {
  if (eos === undefined)
    throw badModel('the tokenizer names no end token, which format completion puts after each completion');
  return eos;
}

/** Of a prompt with all its choices: they share a sequence, and attention takes the square of its tokens. */
const mostTokens = 16_384;

function checkLength(example: Example, { maxLength, where }: TokenizeOptions & { where: string }): void {
  const { trunk, branches, spans } = example;
  if (spans !== undefined && trunk.length > maxLength)
    throw badData(
      `${where}: its answers would be cut: the conversation has ${trunk.length} tokens, more than maxLength ${maxLength};` +
        ' raise maxLength or shorten the row',
    );
  if (trunk.length === 0 || branches.some((branch) => branch.length === 0))
    throw badData(`${where}: the tokenizer makes no token of a text in it; remove the row`);
  const longest = Math.max(0, ...branches.map((branch) => branch.length));
  if (longest > 0 && trunk.length + longest > maxLength)
    throw badData(
      `${where}: its answer would be cut: ${trunk.length} tokens of prompt and ${longest} of answer are more than` +
        ` maxLength ${maxLength}; raise maxLength or shorten the row`,
    );
  const [count, most] = [tokenCount(example), Math.max(mostTokens, maxLength)];
  if (count > most)
    throw badData(
      `${where}: its prompt and ${branches.length} choices have ${count} tokens, and a row may have ${most} in all; leave choices out`,
    );
}
