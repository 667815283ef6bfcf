import { badData, badModel } from '../api/index.ts';
import type { Tokenizer as ModelTokenizer } from '../tokenizer/index.ts';
import type { Format, RowOf } from './rows.ts';

type Tokenizer = Pick<ModelTokenizer, 'encode' | 'eos'>;

/**
 * One tokenised row. The trunk comes first; each branch is a continuation of it, so that a prompt is computed once for
 * all its choices. A row without branches is plain text, whose every token but the first is a target; otherwise the
 * targets are the branches' tokens.
 */
export interface Example {
  /** The row's place in the rows given, counted from 0. */
  readonly row: number;
  readonly trunk: readonly number[];
  readonly branches: readonly (readonly number[])[];
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
    const example = { row, ...rule(fields, tokenizer, options) };
    checkLength(example, options);
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
  options: TokenizeOptions,
) => Omit<Example, 'row'>;

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
};

const trunkOf = (text: string, tokenizer: Tokenizer) => tokenizer.encode(text, { specialTokens: true });
const branchOf = (text: string, tokenizer: Tokenizer) => tokenizer.encode(text, { specialTokens: false });

function endToken({ eos }: Tokenizer): number {
  if (eos === undefined)
    throw badModel('the tokenizer names no end token, which format completion puts after each completion');
  return eos;
}

function checkLength({ row, trunk, branches }: Example, { maxLength, file }: TokenizeOptions): void {
  const where = `${file}: row ${row + 1}`;
  if (trunk.length === 0 || branches.some((branch) => branch.length === 0))
    throw badData(`${where}: the tokenizer makes no token of a text in it; remove the row`);
  const longest = Math.max(0, ...branches.map((branch) => branch.length));
  if (longest > 0 && trunk.length + longest > maxLength)
    throw badData(
      `${where}: its answer would be cut: ${trunk.length} tokens of prompt and ${longest} of answer are more than` +
        ` maxLength ${maxLength}; raise maxLength or shorten the row`,
    );
}
