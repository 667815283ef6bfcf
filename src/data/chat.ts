// Conversations in tokens, by the model's chat template, with the assistant's turns as targets.
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
 * says, with the token that ends its turn, or, where the template has `generation` tags, what stands in these.
 * @throws OffsiteError BadModel where the tokenizer has no template or none that is Jinja, BadData where it does not write the conversation so that it can be learned
 */
export async function conversationTokens(
  messages: readonly Message[],
  tokenizer: Pick<RunningTokenizer, 'chat' | 'write'>,
  tokens: Pick<TextTokens, 'where' | 'placed'>,
): Promise<ConversationTokens> {
  if (!tokenizer.chat)
    throw badModel(
      "the tokenizer has no chat template (tokenizer_config.json's chat_template), which format chat needs",
    );
  const write = async (count: number, generationPrompt: boolean) => {
    const written = await tokenizer.write({ messages: messages.slice(0, count), generationPrompt });
    return written ?? notLearned(tokens);
  };
  const whole = await write(messages.length, false);
  const said = whole.isMarked ? whole.generations : await answersIn(whole, messages, write, tokens);
  const own = messages.flatMap(({ role, content }) => [role, content]);
  const { ids, offsets } = (await tokens.placed(whole.text, own)) ?? notLearned(tokens);
  const spans = spansOf(said, offsets);
  if (spans.length === 0) notLearned(tokens);
  // Nothing stands before the first token that could predict it.
  const targets = spans.map(([from, to]) => [Math.max(1, from), to] as const);
  return { tokens: [...ids.subarray(0, targets.at(-1)![1])], spans: targets };
}

/** One sentence for all that a template makes of a conversation: which of it, the template's maker could choose by a private word. */
function notLearned({ where }: Pick<TextTokens, 'where'>): never {
  throw badData(
    `${where}: the model's chat template does not write these messages so that they can be learned: it refuses them (check the order of their roles), writes one otherwise when more follows (end the row after its first answer), writes or marks nothing of what the assistant says, writes the name of a token without a row in the embedding, or fails on them or on those of a row that is read with them (try it on public messages: offsite verify)`,
  );
}

/** Of a conversation as it is written with all that stands before each turn; a hundred turns of a page each come to as much. */
const mostWritten = 8 * 2 ** 20;
/** What a template writes around each message, about. */
const aroundMessage = 16;

/** What the assistant says: what a turn of its adds to the conversation before it with the words that ask for an answer. */
async function answersIn(
  { text: whole }: Written,
  messages: readonly Message[],
  write: (count: number, generationPrompt: boolean) => Promise<Written>,
  tokens: Pick<TextTokens, 'where'>,
): Promise<Span[]> {
  checkTurns(messages, tokens.where);
  const spans: Span[] = [];
  for (const [turn, { role }] of messages.entries()) {
    if (role !== 'assistant') continue;
    const [{ text: before }, { text: after }] = await Promise.all([
      write(turn, true),
      write(turn + 1, false),
    ]);
    if (!after.startsWith(before) || !whole.startsWith(after)) notLearned(tokens);
    spans.push([before.length, before.length + after.slice(before.length).trimEnd().length]);
  }
  return spans;
}

/** Each of the assistant's turns is written with all before it, so that many turns cost the square of their number. */
function checkTurns(messages: readonly Message[], where: string): void {
  let [before, written] = [0, 0];
  for (const { role, content } of messages) {
    if (role === 'assistant') written += 2 * before;
    before += content.length + aroundMessage;
  }
  if (written > mostWritten)
    throw badData(
      `${where}: its ${messages.length} messages come to more than ${mostWritten} characters where each answer is written with all that stands before it; split the conversation`,
    );
}

/**
 * The tokens that hold each of some parts of the text, both in their order; a token that begins before a part is one of them, and
 * of the first that it is of alone.
 */
function spansOf(parts: readonly Span[], offsets: Encoding['offsets']): Span[] {
  const count = offsets.length / 2;
  let end = 0;
  return parts.flatMap(([from, to]): Span[] => {
    let first = end;
    while (first < count && offsets[2 * first + 1]! <= from) first++;
    while (end < count && offsets[2 * end]! < to) end++;
    return end > first ? [[first, end]] : [];
  });
}
