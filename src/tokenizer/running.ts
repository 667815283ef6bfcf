// The client of a started tokenizer, which batches single calls into requests.
import { badModel, OffsiteError } from '../api/index.ts';
import { Computing, type ComputingOptions } from './computing.ts';
import type {
  AddedText,
  Conversation,
  Encodings,
  Reply,
  Request,
  Template,
  Unwritten,
  Written,
} from './program/messages.ts';

/** A text's tokens; they lie outside of JavaScript's heap, and those of a request in one piece. */
export interface Encoding {
  readonly ids: Int32Array;
  /** How many of the first tokens stand before the text by the tokenizer's own rule (BOS), and how many of the last behind it. */
  readonly leading: number;
  readonly trailing: number;
  /** Of each token the part of the text that it is made of, [from, to), two numbers a token; empty unless asked for. */
  readonly offsets: Int32Array;
  /** Whether it has a token for which the model has no row in its embedding; of the first such text only. */
  readonly beyond?: boolean;
}

export interface EncodeOptions {
  /** Whether the tokenizer's own special tokens (a leading BOS, say) are put around the text: yes, when absent. */
  readonly specialTokens?: boolean;
  readonly offsets?: boolean;
}

/** A tokenizer at work. Texts that are asked for at one time go together. */
export interface RunningTokenizer {
  /** The token that ends a text, where there is one. */
  readonly eos: number | undefined;
  /** The token that stands before a text that begins with nothing: BOS, else the end token. */
  readonly prefix: number | undefined;
  /** Whether it has a chat template. */
  readonly chat: boolean;
  encode(text: string, options?: EncodeOptions): Promise<Encoding>;
  /**
   * The conversation as the chat template writes it; undefined where the template refuses it (its roles or their order), or fails on it
   * or on one that was asked for with it.
   */
  write(conversation: Conversation): Promise<Written | undefined>;
  close(): void;
}

/** What the process is told at its start. */
export interface Loaded {
  readonly tokenizer: string;
  readonly added: readonly AddedText[];
  readonly rows: number | undefined;
  readonly template: Template | undefined;
  readonly bos: string | undefined;
  readonly eos: string | undefined;
}

/** @throws OffsiteError BadModel where the library does not take the tokenizer, or its template is no Jinja */
export async function startTokenizer(
  { tokenizer, added, rows, template, bos, eos }: Loaded,
  options: ComputingOptions,
): Promise<RunningTokenizer> {
  const computing = new Computing(options);
  try {
    const names = [bos, eos].map((name) => name ?? '');
    const request: Request = { what: 'load', tokenizer, added, names, rows, template };
    const { ids } = (await computing.request(request, tokenizer.length)) as Extract<Reply, { ids: unknown }>;
    const [bosId, eosId] = ids;
    return runningOver(computing, options, {
      eos: eosId,
      prefix: bosId ?? eosId,
      chat: template !== undefined,
    });
  } catch (error) {
    computing.close();
    throw error;
  }
}

function runningOver(
  computing: Computing,
  { file, isPublic = false }: ComputingOptions,
  fixed: Pick<RunningTokenizer, 'eos' | 'prefix' | 'chat'>,
): RunningTokenizer {
  const encodings = (specialTokens: boolean, offsets: boolean) =>
    new Gathered<string, Encoding>(
      async (texts) => {
        const request: Request = { what: 'encode', texts, specialTokens, offsets };
        const reply = await computing.request(request, lengthOf(texts));
        return apart((reply as Extract<Reply, { encodings: unknown }>).encodings);
      },
      (text) => text.length,
    );
  const byOptions = [false, true].map((special) =>
    [false, true].map((offsets) => encodings(special, offsets)),
  );
  const conversations = new Gathered<Conversation, Written | undefined>(
    async (asked) => {
      const written = await computing
        .request({ what: 'render', conversations: asked }, lengthOf(asked.map(textOf)))
        .then(
          (reply) => (reply as Extract<Reply, { written: unknown }>).written,
          (error: unknown) => {
            if (isPublic || !(error instanceof OffsiteError && error.reason === 'BadModel')) throw error;
            return asked.map((): Unwritten => ({ refused: true }));
          },
        );
      return written.map((each) => {
        if ('failed' in each && (each.isOfText || isPublic))
          throw badModel(`${file}: its chat template cannot be used: ${each.failed}`);
        return 'text' in each ? each : undefined;
      });
    },
    (conversation) => textOf(conversation).length,
  );
  return {
    ...fixed,
    encode: (text, { specialTokens = true, offsets = false } = {}) =>
      byOptions[Number(specialTokens)]![Number(offsets)]!.ask(text),
    write: (conversation) => conversations.ask(conversation),
    close: () => computing.close(),
  };
}

const lengthOf = (texts: readonly string[]) => texts.reduce((sum, { length }) => sum + length, 0);
const textOf = ({ messages }: Conversation) => messages.map(({ role, content }) => role + content).join('');

/** Encodings that came one behind the other, apart. */
function apart({ ids, lengths, leading, trailing, offsets, beyond }: Encodings): Encoding[] {
  let from = 0;
  return Array.from(lengths, (length, text) => {
    const to = from + length;
    const encoding = {
      ids: ids.subarray(from, to),
      ...{ leading: leading[text]!, trailing: trailing[text]! },
      offsets: offsets.subarray(2 * from, 2 * to),
    };
    from = to;
    return text === beyond ? { ...encoding, beyond: true } : encoding;
  });
}

/** The most of one request: small enough for a bound of seconds, large enough to cost no messages. */
const most = { count: 512, size: 2 ** 18 };

/** Questions that are asked in one turn of the event loop, answered together. */
class Gathered<Q, A> {
  readonly #answer: (questions: Q[]) => Promise<A[]>;
  readonly #sizeOf: (question: Q) => number;
  #waiting: { question: Q; resolve: (answer: A) => void; reject: (error: unknown) => void }[] = [];

  constructor(answer: (questions: Q[]) => Promise<A[]>, sizeOf: (question: Q) => number) {
    this.#answer = answer;
    this.#sizeOf = sizeOf;
  }

  ask(question: Q): Promise<A> {
    if (this.#waiting.length === 0) setImmediate(() => void this.#answerAll());
    return new Promise((resolve, reject) => this.#waiting.push({ question, resolve, reject }));
  }

  async #answerAll(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    let start = 0;
    while (start < waiting.length) {
      let [end, size] = [start, 0];
      while (end < waiting.length && end - start < most.count && (end === start || size < most.size))
        size += this.#sizeOf(waiting[end++]!.question);
      const part = waiting.slice(start, end);
      try {
        const answers = await this.#answer(part.map(({ question }) => question));
        for (const [i, { resolve }] of part.entries()) resolve(answers[i]!);
      } catch (error) {
        for (const { reject } of part) reject(error);
      }
      start = end;
    }
  }
}
