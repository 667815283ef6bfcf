import { badData } from '../api/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import type { Example } from './batch.ts';
import type { DataFormat, Row } from './rows.ts';

/** `train`: the right answer only; `score`: every choice. */
export type Purpose = 'train' | 'score';

export interface TokenizeOptions {
  format: DataFormat;
  purpose: Purpose;
  /** Tokens that a row may have; text is cut there, other rows must fit. */
  maxLength: number;
  /** Names the data in errors. */
  where: string;
}

/**
 * Turns rows into token sequences as METHOD.md says: prompt and answer are tokenised apart and joined, the prompt with the
 * tokenizer's own special tokens, the answer without, an end token for `completion` only.
 * @throws OffsiteError BadData naming the row (counted from 1) whose answer would be cut, or that is too short
 */
export function tokenize(rows: readonly Row[], tokenizer: Tokenizer, options: TokenizeOptions): Example[] {
  return rows.map((row, index) => tokenizeRow(row, index + 1, tokenizer, options));
}

function tokenizeRow(row: Row, number: number, tokenizer: Tokenizer, options: TokenizeOptions): Example {
  const { maxLength, purpose, where } = options;
  if ('text' in row) {
    const trunk = tokenizer.encode(row.text).slice(0, maxLength);
    if (trunk.length < 2)
      throw badData(`${where}: row ${number}: text has fewer than two tokens: nothing to predict`);
    return { row: number, trunk, branches: [], predictTrunk: true };
  }
  const { prompt, answers } = texts(row, purpose);
  const trunk = tokenizer.encode(prompt);
  const end = 'completion' in row && tokenizer.eos !== undefined ? [tokenizer.eos] : [];
  const branches = answers.map((answer) => [...tokenizer.encode(answer, { specialTokens: false }), ...end]);
  const longest = trunk.length + Math.max(...branches.map((branch) => branch.length));
  if (longest > maxLength) {
    throw badData(
      `${where}: row ${number}: has ${longest} tokens, maxLength is ${maxLength}: its answer would be cut; raise maxLength or shorten the row`,
    );
  }
  return { row: number, trunk, branches, predictTrunk: false };
}

function texts(row: Exclude<Row, { text: string }>, purpose: Purpose): { prompt: string; answers: string[] } {
  if ('prompt' in row) return { prompt: row.prompt, answers: [row.completion] };
  const context = row.context ? `${row.context}\n` : '';
  const prompt = `${context}Question: ${row.question}\nAnswer:`;
  const choices = purpose === 'train' ? [row.choices[row.answer] as string] : row.choices;
  return { prompt, answers: choices.map((choice) => ` ${choice}`) };
}
