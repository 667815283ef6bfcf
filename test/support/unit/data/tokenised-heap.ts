/** Of tokenised rows: whether TokenRoom counts about what they take of the heap. */
import { type Format, type RowOf, tokenize } from '../../../../src/data/index.ts';
import { TokenRoom } from '../../../../src/data/row-room.ts';
import { given, heapUsed, measured } from '../../processes/heap.ts';
import { tokenizerOf, tokensOf } from './examples.ts';

const tokenizer = tokenizerOf(tokensOf, {
  chat: ({ messages }) => messages.map(({ content }) => content).join(''),
});
const options = { mode: 'score', file: 'rows.jsonl', maxLength: 2048 } as const;

/** So many equal rows, tokenised. */
const rows =
  <F extends Format>(format: F, count: number, row: RowOf[F]) =>
  () =>
    tokenize(Array<RowOf[F]>(count).fill(row), format, tokenizer, options);

const message = { role: 'assistant', content: 'ab' };
const kinds: Record<string, ReturnType<typeof rows>> = {
  'short texts': rows('text', 20_000, { text: 'abc' }),
  'long texts': rows('text', 2000, { text: Buffer.alloc(1000, 'abcd ').toString() }),
  'many choices': rows('multipleChoice', 200, { question: '', choices: Array(500).fill('a'), answer: 0 }),
  conversations: rows('chat', 200, { messages: Array(100).fill(message) }),
};

const tokenised = kinds[given as string]!;
// All stay, so that nothing goes meanwhile; what Node compiles comes with the first.
const held = [await tokenised()];
const sizes: number[] = [];
for (let time = 0; time < 5; time++) {
  const before = await heapUsed();
  held.push(await tokenised());
  sizes.push((await heapUsed()) - before);
}
const taken = sizes.sort((a, b) => a - b)[2]!;
const [examples] = held as [Awaited<ReturnType<typeof tokenised>>];

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
