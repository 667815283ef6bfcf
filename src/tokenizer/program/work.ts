// The thread that computes: the reference tokenizers library and the interpreter of chat templates.
import { parentPort } from 'node:worker_threads';
import { Encoder } from './encoder.ts';
import type { Reply, Request } from './messages.ts';
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
      writer = request.template && new TemplateWriter(request.template);
      return { ids: request.names.map((name) => encoder!.idOf(name)) };
    case 'encode':
      return { encodings: await encoder!.encode(request.texts, request) };
    case 'render':
      return { written: request.conversations.map((conversation) => writer!.write(conversation)) };
  }
}
