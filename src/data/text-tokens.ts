// Encoding the texts of one row, with just the special tokens that belong where each stands.
import { badData, badModel } from '../api/index.ts';
import type { Encoding, RunningTokenizer } from '../tokenizer/index.ts';

/** Of one text: the tokenizer needs some hundred bytes of memory for each, and what it cannot take is the row's fault. */
export const mostCharacters = 2 ** 20;

/**
 * A row's texts as a tokenizer has them, with messages that name the row. No number that a tokenizer or a template made of a row
 * is told: both are the model's owner's, and could make any word of a private row a number.
 */
export class TextTokens {
  readonly #tokenizer: RunningTokenizer;
  /** File and row, for messages. */
  readonly where: string;

  constructor(tokenizer: RunningTokenizer, where: string) {
    this.#tokenizer = tokenizer;
    this.where = where;
  }

  /** With all of the tokenizer's own special tokens. */
  async whole(text: string): Promise<readonly number[]> {
    return (await this.#encode(text)).ids;
  }

  /** With those special tokens that stand before a text, so that something may follow it. */
  async open(text: string): Promise<readonly number[]> {
    const { ids, trailing } = await this.#encode(text);
    return ids.slice(0, ids.length - trailing);
  }

  /** The tokens of a prompt that something follows; of an empty one the special tokens that stand before any text. */
  async leadingTo(prompt: string): Promise<readonly number[]> {
    if (prompt !== '') return this.open(prompt);
    const { ids, leading } = await this.#encode('.');
    return ids.slice(0, leading);
  }

  /** As they are, with the part of the text that each is made of. */
  async placed(text: string): Promise<Encoding> {
    return this.#encode(text, { specialTokens: false, offsets: true });
  }

  /** The token that begins a text with nothing before it. @throws OffsiteError BadData where the tokenizer has none */
  prefix(): number {
    const { prefix } = this.#tokenizer;
    if (prefix === undefined)
      throw badData(
        `${this.where}: its prompt is empty, and the tokenizer names no token that stands before a text (bos_token or eos_token); give it a prompt`,
      );
    return prefix;
  }

  /** The token that ends a text. @throws OffsiteError BadModel where the tokenizer has none */
  end(): number {
    const { eos } = this.#tokenizer;
    if (eos === undefined)
      throw badModel(
        'the tokenizer names no end token, which formats completion and preference put after each answer',
      );
    return eos;
  }

  async #encode(text: string, options?: Parameters<RunningTokenizer['encode']>[1]): Promise<Encoding> {
    if (text.length > mostCharacters)
      throw badData(
        `${this.where}: its answer would be cut: its text has more than ${mostCharacters} characters; shorten the row`,
      );
    const encoding = await this.#tokenizer.encode(text, options);
    if (!encoding.beyond) return encoding;
    throw badData(
      `${this.where}: a text in it has the name of a special token for which the model's embedding has no row; remove the name from the row`,
    );
  }
}
