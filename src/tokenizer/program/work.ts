// The thread that computes: the reference tokenizers library and the interpreter of chat templates.
import { parentPort } from 'node:worker_threads';
import { Encoder } from './encoder.ts';
import type { Conversation, Reply, Request } from './messages.ts';
import { TemplateWriter } from './template-writer.ts';

let encoder: Encoder | undefined;
let writer: TemplateWriter | undefined;

parentPort?.on('message', async (request: Request) => {
  let reply: Reply;
  try {
    reply = await answer(request);
  } catch (error) {
    reply = { failed: (error as Error).message };
  }
  parentPort?.postMessage(reply);
});

async function answer(request: Request): Promise<Reply> {
  switch (request.what) {
    case 'load':
      encoder = new Encoder(request.tokenizer, request.rows);
      encoder.checkAdded(request.added);
      writer = request.template && new TemplateWriter(request.template);
      return { ids: request.names.map((name) => encoder!.idOf(name)) };
    case 'encode':
      return { encodings: await encoder!.encode(request.texts, request) };
    case 'render':
      return { written: written(request.conversations, writer!) };
  }
}

/** What a part between generation tags takes beside its text, in characters: two numbers, and marks while it is written. */
const span = 64;
/** Of what is written of all conversations of a request together: it is in memory twice, here and with who asked. */
const mostTogether = 64 * 2 ** 20;

function written(conversations: readonly Conversation[], writer: TemplateWriter) {
  let left = mostTogether;
  return conversations.map((conversation) => {
    if (left < 0)
      return {
        failed: `it writes more than ${mostTogether} characters of ${conversations.length} conversations`,
        isOfText: false,
      };
    const result = writer.write(conversation);
    if ('text' in result) left -= result.text.length + span * result.generations.length;
    return result;
  });
}
