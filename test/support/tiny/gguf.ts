export interface GgufTensor {
  name: string;
  /** In GGUF's order: the fastest dimension first. */
  dimensions: readonly (number | bigint)[];
  type: number;
  offset?: number | bigint;
}

export interface GgufParts {
  version?: number;
  tensorCount?: bigint;
  pairCount?: bigint;
  /** Key, type number, the value's bytes. */
  pairs?: readonly [string, number, Uint8Array][];
  tensors?: readonly GgufTensor[];
  data?: Uint8Array;
  alignment?: number;
}

/** The bytes of a GGUF file, written by the format's description (ggml, docs/gguf.md). */
export function gguf({ version = 3, pairs = [], tensors = [], ...rest }: GgufParts): Uint8Array {
  const { data = new Uint8Array(), alignment = 32 } = rest;
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    uint32(version),
    uint64(rest.tensorCount ?? BigInt(tensors.length)),
    uint64(rest.pairCount ?? BigInt(pairs.length)),
    ...pairs.flatMap(([key, type, value]) => [text(key), uint32(type), value]),
    ...tensors.flatMap(({ name, dimensions, type, offset = 0 }) => [
      text(name),
      uint32(dimensions.length),
      ...dimensions.map((size) => uint64(BigInt(size))),
      uint32(type),
      uint64(BigInt(offset)),
    ]),
  ]);
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment);
  return Buffer.concat([header, padding, data]);
}

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function uint64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes;
}

export const text = (value: string): Uint8Array =>
  Buffer.concat([uint64(BigInt(Buffer.byteLength(value))), Buffer.from(value)]);
