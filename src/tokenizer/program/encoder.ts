// Encoding of texts to token ids by the tokenizers library, with offsets in UTF-16.
import { Tokenizer } from 'tokenizers';
import type { AddedText, Encodings } from './messages.ts';

/** The reference tokenizers library over one tokenizer.json. */
export class Encoder {
  readonly #tokenizer: Tokenizer;
  readonly #rows: number;

  /**
   * @param rows how many rows the model's embedding has
   * @throws Error where the library does not take it
   */
  constructor(json: string, rows = Number.POSITIVE_INFINITY) {
    this.#tokenizer = Tokenizer.fromString(json);
    // As transformers does: what a file says of cutting and filling up is for whoever asks for it.
    this.#tokenizer.disableTruncation();
    this.#tokenizer.disablePadding();
    this.#rows = rows;
  }

  /**
   * Added tokens whose number is not what the file says; and those that are one text to the library, as they stand or after the normalizer: which of them a text gets follows from
   * the order of a hash map, which is another in each process.
   * @throws Error naming them
   */
  checkAdded(added: readonly AddedText[]): void {
    for (const { id, content } of added)
      if (this.idOf(content) !== id)
        throw new Error(
          `its added token ${JSON.stringify(content)} has the number ${id} there, and another in its vocabulary`,
        );
    const normalizer = this.#tokenizer.getNormalizer();
    const seen = new Map<string, string>();
    for (const { content, normalized } of added) {
      const looked = normalized && normalizer ? normalizer.normalizeString(content) : content;
      const key = `${normalized} ${looked}`;
      const other = seen.get(key);
      if (other !== undefined)
        throw new Error(
          `its added tokens ${JSON.stringify(other)} and ${JSON.stringify(content)} are one text where they are looked for, so which of them a text gets is chance`,
        );
      seen.set(key, content);
    }
  }

  idOf(token: string): number | undefined {
    return this.#tokenizer.tokenToId(token) ?? undefined;
  }

  async encode(
    texts: readonly string[],
    { specialTokens, offsets: withOffsets }: { specialTokens: boolean; offsets: boolean },
  ): Promise<Encodings> {
    const [ids, offsets] = [[] as number[], [] as number[]];
    const [lengths, leading, trailing] = [[] as number[], [] as number[], [] as number[]];
    let beyond: Encodings['beyond'];
    for (const [at, text] of texts.entries()) {
      const encoding = await this.#tokenizer.encode(text, null, { addSpecialTokens: specialTokens });
      const own = encoding.getIds();
      for (const id of own) {
        ids.push(id);
        if (id >= this.#rows) beyond ??= at;
      }
      lengths.push(own.length);
      const [first, last] = ends(encoding.getSpecialTokensMask());
      leading.push(first);
      trailing.push(last);
      if (withOffsets) for (const place of inUtf16(encoding.getOffsets(), text)) offsets.push(place);
    }
    return {
      ids: Int32Array.from(ids),
      lengths: Int32Array.from(lengths),
      leading: Int32Array.from(leading),
      trailing: Int32Array.from(trailing),
      offsets: Int32Array.from(offsets),
      beyond,
    };
  }
}

/** How many of the first and of the last values are 1. */
function ends(mask: readonly number[]): [first: number, last: number] {
  const first = mask.indexOf(0);
  return first < 0 ? [mask.length, 0] : [first, mask.length - 1 - mask.lastIndexOf(0)];
}

/** The library counts code points. */
function inUtf16(offsets: readonly number[][], text: string): number[] {
  const flat = offsets.flat();
  if (!/[\u{10000}-\u{10ffff}]/u.test(text)) return flat;
  const units = [0];
  for (const character of text) units.push(units.at(-1)! + character.length);
  return flat.map((place) => units[place] ?? text.length);
}
