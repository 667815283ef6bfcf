import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** What the reference says of one layout (test/reference/tokenizers_reference.py). */
export interface Layout {
  tokenizer: Record<string, unknown>;
  config: Record<string, string>;
  crcs: string;
  pairs: { context: string; answers: string[]; expected: { whole: number[]; context: number }[] }[];
  chats: { messages: { role: 'user' | 'assistant'; content: string }[]; ids: number[]; mask: number[] }[];
}

const fixtures = join(import.meta.dirname, '../../fixtures/tokenizers');
export const reference = <T>(name: string): T =>
  JSON.parse(readFileSync(join(fixtures, `${name}.json`), 'utf8')) as T;

const others = ['texts', 'gguf-sentencepiece'];
export const layouts = readdirSync(fixtures)
  .map((file) => file.replace('.json', ''))
  .filter((name) => !others.includes(name));
export const texts = reference<string[]>('texts');

/** The CRC-32 of each text's ids. */
export function crcsOf(ids: Int32Array, lengths: Int32Array): number[] {
  let from = 0;
  return Array.from(lengths, (length) => {
    const own = ids.slice(from, from + length);
    from += length;
    return crc32(new Uint8Array(own.buffer));
  });
}

export function unpacked(packed: string): number[] {
  const bytes = Uint8Array.from(Buffer.from(packed, 'base64'));
  return [...new Uint32Array(bytes.buffer)];
}
