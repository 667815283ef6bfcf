// Encoding the texts of one row, with just the special tokens that belong where each stands.
import { badData, badModel, OffsiteError } from '../api/index.ts';
import type { Encoding, RunningTokenizer } from '../tokenizer/index.ts';

type EncodeOptions = Parameters<RunningTokenizer['encode']>[1];

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
  async whole(text: string): Promise<Int32Array> {
    return (await this.#encode(text)).ids;
  }

  /** With those special tokens that stand before a text, so that something may follow it. */
  async open(text: string): Promise<Int32Array> {
    const { ids, trailing } = await this.#encode(text);
    return ids.subarray(0, ids.length - trailing);
  }

  /** The tokens of a prompt that something follows; of an empty one the special tokens that stand before any text. */
  async leadingTo(prompt: string): Promise<Int32Array> {
    if (prompt !== '') return this.open(prompt);
    const { ids, leading } = await this.#encode('.');
    return ids.subarray(0, leading);
  }

  /**
   * What a template wrote of a row, as it is, with the part of the text that each token is made of.
   * @param own the row's own texts
   * @returns undefined where the template adds the name of a token that has no row, or the tokenizer fails
   * @throws OffsiteError BadData where there is such a name in the row's own texts, or the text is too long
   */
  async placed(text: string, own: readonly string[]): Promise<Encoding | undefined> {
    const options = { specialTokens: false };
    try {
      const encoded = await this.#tokenized(text, { ...options, offsets: true });
      if (!encoded.beyond) return encoded;
      for (const each of own) await this.#encode(each, options);
    } catch (error) {
      if (!(error instanceof OffsiteError && error.reason === 'BadModel')) throw error;
    }
    return undefined;
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

  async #encode(text: string, options?: EncodeOptions): Promise<Encoding> {
    const encoded = await this.#tokenized(text, options);
    if (!encoded.beyond) return encoded;
    throw badData(
      `${this.where}: a text in it has the name of a special token for which the model's embedding has no row; remove the name from the row`,
    );
  }

  async #tokenized(text: string, options?: EncodeOptions): Promise<Encoding> {
    if (text.length > mostCharacters)
      throw badData(
        `${this.where}: its answer would be cut: its text has more than ${mostCharacters} characters; shorten the row`,
      );
    return await this.#tokenizer.encode(text, options);
  }
}
