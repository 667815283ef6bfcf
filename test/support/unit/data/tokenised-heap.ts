/** Of tokenised rows: whether TokenRoom counts about what they take of the heap. */
import { type Format, type RowOf, tokenize } from '../../../../src/data/index.ts';
import { TokenRoom } from '../../../../src/data/row-room.ts';
import { given, heapUsed, measured } from '../../processes/heap.ts';
import { tokenizerOf, tokensOf } from './examples.ts';

const tokenizer = tokenizerOf(tokensOf, {
  chat: ({ messages }) => messages.map(({ content }) => content).join(''),
});
const options = { mode: 'score', file: 'rows.jsonl', maxLength: 2048 } as const;

/** So many equal rows, or fewer, tokenised. */
const rows =
  <F extends Format>(format: F, count: number, row: RowOf[F]) =>
  (most = count) =>
    tokenize(Array<RowOf[F]>(most).fill(row), format, tokenizer, options);

const message = { role: 'assistant', content: 'ab' };
const kinds: Record<string, ReturnType<typeof rows>> = {
  'short texts': rows('text', 20_000, { text: 'abc' }),
  'long texts': rows('text', 2000, { text: Buffer.alloc(1000, 'abcd ').toString() }),
  'many choices': rows('multipleChoice', 200, { question: '', choices: Array(500).fill('a'), answer: 0 }),
  conversations: rows('chat', 200, { messages: Array(100).fill(message) }),
};

const tokenised = kinds[given as string]!;
await tokenised(1);
const before = await heapUsed();
const examples = await tokenised();
const taken = (await heapUsed()) - before;

function isRefusedOf(bytes: number): boolean {
  const room = new TokenRoom((bytes * 8) / 3);
  try {
    for (const example of examples) room.add('rows.jsonl', example);
    return false;
  } catch {
    return true;
  }
}
measured({ tooLittle: isRefusedOf(0.95 * taken), enough: !isRefusedOf(1.25 * taken) });
