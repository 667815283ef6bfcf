import { badData, badModel } from '../api/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import type { Message } from './rows.ts';

/** A conversation's tokens, and which of them are predicted: [from, to) of each turn of the assistant. */
export interface Conversation {
  readonly tokens: number[];
  readonly spans: [from: number, to: number][];
}

/**
 * Writes a conversation by the model's chat template. Predicted is what the assistant says, with the token that ends its
 * turn; the words of the others and all that the template adds around them are only read.
 * @param where file and row, for messages
 * @throws OffsiteError BadModel where the tokenizer has no template, BadData where the template refuses the conversation
 */
export function conversationOf(
  messages: readonly Message[],
  { encode, chat }: Pick<Tokenizer, 'encode' | 'chat'>,
  where: string,
): Conversation {
  if (chat === undefined)
    throw badModel(
      "the tokenizer has no chat template (tokenizer_config.json's chat_template), which format chat needs",
    );
  const write = (count: number, generationPrompt: boolean) => {
    try {
      return chat.render(messages.slice(0, count), generationPrompt);
    } catch {
      // the template's own message may quote the conversation
      throw badData(
        `${where}: the model's chat template refuses these messages; check the order of their roles`,
      );
    }
  };
  const conversation: Conversation = { tokens: [], spans: [] };
  const append = (text: string) => {
    const from = conversation.tokens.length;
    conversation.tokens.push(...encode(text, { specialTokens: false }));
    return [from, conversation.tokens.length] as [number, number];
  };
  const whole = write(messages.length, false);
  let written = 0;
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant') continue;
    const [before, after] = [write(i, true), write(i + 1, false)];
    if (!after.startsWith(before) || !whole.startsWith(after))
      throw badData(
        `${where}: the model's chat template writes message ${i} otherwise when more follows; end the row after its first answer`,
      );
    append(whole.slice(written, before.length));
    const said = whole.slice(before.length, after.length).trimEnd();
    const [from, to] = append(said);
    conversation.spans.push([Math.max(1, from), to]);
    written = before.length + said.length;
  }
  return conversation;
}
