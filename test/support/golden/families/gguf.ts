import { writeFileSync } from 'node:fs';
import type { Model } from '../../../../src/model/index.ts';

/** GGUF's numbers of the value types that are written here. */
const types = { bool: 7, uint32: 4, float32: 6, string: 8 } as const;
const alignment = 32;

const names: readonly [hub: RegExp, gguf: string][] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, 'blk.$1.attn_$2'],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, 'blk.$1.attn_output'],
  [/^model\.layers\.(\d+)\.self_attn\.([qk])_norm/, 'blk.$1.attn_$2_norm'],
  [/^model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj/, 'blk.$1.ffn_$2'],
  [/^model\.layers\.(\d+)\.input_layernorm/, 'blk.$1.attn_norm'],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, 'blk.$1.ffn_norm'],
];

interface Written {
  /** `general.architecture`. */
  architecture: string;
  /** Whether query and key rows are interleaved, as llama.cpp's converter does for LLaMA. */
  interleaved: boolean;
  metadata: Record<string, number | string | boolean>;
  /** Tensors that the hub's layout does not have. */
  more?: Record<string, Float32Array>;
}

/** Writes a model as llama.cpp's converter does, in float32, without a tokenizer. */
export function writeGguf(
  path: string,
  model: Model,
  { architecture, interleaved, metadata, more = {} }: Written,
): void {
  const { config } = model;
  const size =
    Number(config['head_dim']) || Number(config['hidden_size']) / Number(config['num_attention_heads']);
  const tensors = [...model.tensors].map(([name, { shape }]) => {
    const [pattern, replacement] = names.find(([hub]) => hub.test(name))!;
    const rotary = interleaved && /[qk]_proj\.weight$/.test(name);
    const values = model.read(name);
    return {
      name: name.replace(pattern, replacement),
      shape,
      values: rotary ? interleave(values, shape as [number, number], size) : values,
    };
  });
  for (const [name, values] of Object.entries(more)) tensors.push({ name, shape: [values.length], values });
  const pairs = Object.entries({
    'general.architecture': architecture,
    ...Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`${architecture}.${key}`, value])),
  });

  const parts: Buffer[] = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(pairs.length)];
  for (const [key, value] of pairs) parts.push(text(key), ...typed(value));
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    parts.push(
      text(name),
      uint32(shape.length),
      ...shape.toReversed().map(uint64),
      uint32(0),
      uint64(offset),
    );
    offset += padded(values.byteLength);
  }
  const header = Buffer.concat(parts);
  const data = tensors.map(({ values }) => {
    const bytes = Buffer.alloc(padded(values.byteLength));
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return bytes;
  });
  writeFileSync(path, Buffer.concat([header, Buffer.alloc(padded(header.length) - header.length), ...data]));
}

/** Rows 0, size/2, 1, size/2 + 1, ... of each head. */
function interleave(values: Float32Array, [rows, columns]: [number, number], size: number): Float32Array {
  const order = Array.from({ length: rows }, (_, row) => {
    const within = row % size;
    return row - within + (within % 2) * (size / 2) + Math.floor(within / 2);
  });
  return Float32Array.from(
    order.flatMap((from) => [...values.subarray(from * columns, (from + 1) * columns)]),
  );
}

function typed(value: number | string | boolean): Buffer[] {
  if (typeof value === 'boolean') return [uint32(types.bool), Buffer.of(Number(value))];
  if (typeof value === 'string') return [uint32(types.string), text(value)];
  if (Number.isInteger(value)) return [uint32(types.uint32), uint32(value)];
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return [uint32(types.float32), bytes];
}

const padded = (bytes: number) => Math.ceil(bytes / alignment) * alignment;
const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const uint64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
