import { badData, badModel } from '../api/index.ts';
import type { Encoding, RunningTokenizer, Written } from '../tokenizer/index.ts';
import type { Message } from './rows.ts';
import type { TextTokens } from './text-tokens.ts';

type Span = readonly [from: number, to: number];

/** A conversation's tokens, and which of them are predicted: [from, to) of each turn of the assistant. */
export interface ConversationTokens {
  readonly tokens: readonly number[];
  readonly spans: readonly Span[];
}

/**
 * Writes a conversation by the model's chat template and tokenises what is written at once. Predicted is what the assistant
 * says, with the token that ends its turn, or, where the template marks it by `generation` tags, what stands in these.
 * @throws OffsiteError BadModel where the tokenizer has no template, BadData where the template refuses the conversation
 */
export async function conversationTokens(
  messages: readonly Message[],
  tokenizer: Pick<RunningTokenizer, 'chat' | 'write'>,
  tokens: TextTokens,
): Promise<ConversationTokens> {
  if (!tokenizer.chat)
    throw badModel(
      "the tokenizer has no chat template (tokenizer_config.json's chat_template), which format chat needs",
    );
  const write = async (count: number, generationPrompt: boolean) => {
    const written = await tokenizer.write({ messages: messages.slice(0, count), generationPrompt });
    if (written !== undefined) return written;
    // the template's own message may quote the conversation
    throw badData(
      `${tokens.where}: the model's chat template refuses these messages; check the order of their roles`,
    );
  };
  const whole = await write(messages.length, false);
  const said =
    whole.generations.length > 0 ? whole.generations : await answersIn(whole, messages, write, tokens);
  const { ids, offsets } = await tokens.placed(whole.text);
  const spans = said.flatMap((part) => spanOf(part, offsets));
  if (spans.length === 0)
    throw badData(`${tokens.where}: the model's chat template writes nothing of what the assistant says`);
  // Nothing stands before the first token that could predict it.
  const targets = spans.map(([from, to]) => [Math.max(1, from), to] as const);
  return { tokens: ids.slice(0, targets.at(-1)![1]), spans: targets };
}

/** What the assistant says: what a turn of its adds to the conversation before it with the words that ask for an answer. */
async function answersIn(
  { text: whole }: Written,
  messages: readonly Message[],
  write: (count: number, generationPrompt: boolean) => Promise<Written>,
  { where }: TextTokens,
): Promise<Span[]> {
  const turns = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  const written = await Promise.all(turns.map((i) => Promise.all([write(i, true), write(i + 1, false)])));
  return written.map(([{ text: before }, { text: after }], turn) => {
    if (!after.startsWith(before) || !whole.startsWith(after))
      throw badData(
        `${where}: the model's chat template writes message ${turns[turn]} otherwise when more follows; end the row after its first answer`,
      );
    return [before.length, before.length + after.slice(before.length).trimEnd().length];
  });
}

/** The tokens that hold a part of the text; a token that begins before it is one of them. */
function spanOf([from, to]: Span, offsets: Encoding['offsets']): Span[] {
  const first = offsets.findIndex(([, end]) => end > from);
  const last = offsets.findLastIndex(([start]) => start < to);
  return first < 0 || last < first ? [] : [[first, last + 1]];
}
