/** A Parquet file of one text column, written by hand so that it can claim anything (parquet-format, parquet.thrift). */
export interface ParquetClaims {
  /** As they lie in the page: 4 bytes of length, then the text. */
  page?: Uint8Array;
  rows?: number | bigint;
  /** Of the column, and of its page. */
  values?: number | bigint;
  pageValues?: number;
  unpacked?: number;
  /** Of the column, where it does not lie where it should. */
  size?: number | bigint;
  /** CompressionCodec; 0 is none. */
  codec?: number;
  /** How often the column's description stands there. */
  columns?: number;
  /** How often the row group's does. */
  groups?: number;
  /** Whether each of them has a page of its own. */
  apart?: boolean;
  /** Elements of the schema for which no row group has anything. */
  unused?: number;
  /** ConvertedType of the column: 0 is UTF8, 19 is JSON. */
  converted?: number;
  /** Encoding of the page's values: 0 is PLAIN, 5 DELTA_BINARY_PACKED, 7 DELTA_BYTE_ARRAY. */
  encoding?: number;
  /** Type of the column: 6 is BYTE_ARRAY, 2 is INT64. */
  type?: number;
  /** Of a data page v2, which there is where this is given. */
  nulls?: number;
  /** A page of one text, which every row then names. */
  dictionary?: Uint8Array;
}

export function parquet(claims: ParquetClaims): Uint8Array {
  const { rows = 1, values = 1, pageValues = 1, codec = 0, dictionary, groups = 1, apart = false } = claims;
  const { page = dictionary ? firstEntry(pageValues) : plainText('one') } = claims;
  const { unpacked = page.length } = claims;
  const { nulls, type = 6, encoding = dictionary ? 8 : 0 } = claims;
  const header = struct([
    [1, i32, nulls === undefined ? 0 : 3],
    [2, i32, unpacked],
    [3, i32, page.length],
    nulls === undefined
      ? [
          5,
          struct_,
          struct([
            [1, i32, pageValues],
            [2, i32, encoding],
            [3, i32, 3],
            [4, i32, 3],
          ]),
        ]
      : [
          8,
          struct_,
          struct([
            [1, i32, pageValues],
            [2, i32, nulls],
            [3, i32, pageValues],
            [4, i32, encoding],
            [5, i32, 0],
            [6, i32, 0],
          ]),
        ],
  ]);
  const before = dictionary ? Buffer.concat([dictionaryHeader(dictionary), dictionary]) : Buffer.of();
  const size = claims.size ?? before.length + header.length + page.length;
  const pages = Buffer.concat([before, header, page]);
  const columnAt = (start: number) =>
    struct([
      [1, i32, type],
      [2, list, listOf(i32, [varint(zigzag(0))])],
      [3, list, listOf(binary, [text('text')])],
      [4, i32, codec],
      [5, i64, values],
      [6, i64, unpacked],
      [7, i64, size],
      [9, i64, start + before.length],
      ...(dictionary ? [[11, i64, start] as Field] : []),
    ]);
  const groupAt = (start: number) =>
    struct([
      [
        1,
        list,
        listOf(
          struct_,
          Array.from({ length: claims.columns ?? 1 }, () =>
            struct([
              [2, i64, start],
              [3, struct_, columnAt(start)],
            ]),
          ),
        ),
      ],
      [2, i64, unpacked],
      [3, i64, rows],
    ]);
  const schema = [
    struct([
      [4, binary, text('schema')],
      [5, i32, 1 + (claims.unused ?? 0)],
    ]),
    struct([
      [1, i32, type],
      [3, i32, 0],
      [4, binary, text('text')],
      ...(type === 6 ? [[6, i32, claims.converted ?? 0] as Field] : []),
    ]),
  ];
  const footer = struct([
    [1, i32, 1],
    [2, list, listOf(struct_, [...schema, ...new Array<Uint8Array>(claims.unused ?? 0).fill(schema[1]!)])],
    [3, i64, rows],
    [
      4,
      list,
      listOf(
        struct_,
        Array.from({ length: groups }, (_, i) => groupAt(4 + (apart ? i * pages.length : 0))),
      ),
    ],
  ]);
  return withFooter(footer, Buffer.concat(new Array<Buffer>(apart ? groups : 1).fill(pages)));
}

const dictionaryHeader = (page: Uint8Array) =>
  struct([
    [1, i32, 2],
    [2, i32, page.length],
    [3, i32, page.length],
    [
      7,
      struct_,
      struct([
        [1, i32, 1],
        [2, i32, 0],
      ]),
    ],
  ]);

/** A page whose values all are the dictionary's first: one run, of indices of one bit. */
const firstEntry = (values: number) =>
  Buffer.concat([Uint8Array.of(1), varint(BigInt(values) << 1n), Uint8Array.of(0)]);

/** Whole numbers from `first` on, in equal steps, in some bytes, however many (DELTA_BINARY_PACKED, blocks of no width). */
export function steps(first: number, step: number, count: number): Uint8Array {
  const block = Math.ceil(count / 128) * 128;
  return Buffer.concat([
    ...[block, 1, count].map((value) => varint(BigInt(value))),
    varint(zigzag(first)),
    varint(zigzag(step)),
    Uint8Array.of(0),
  ]);
}

/** A file with any footer. */
export function withFooter(footer: Uint8Array, body: Uint8Array = new Uint8Array()): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([Buffer.from('PAR1'), body, footer, length, Buffer.from('PAR1')]);
}

export function plainText(value: string): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(Buffer.byteLength(value));
  return Buffer.concat([length, Buffer.from(value)]);
}

// Thrift's compact protocol: the types that are needed.
const [i32, i64, binary, list, struct_] = [5, 6, 8, 9, 12];

type Field = [id: number, type: number, value: number | bigint | Uint8Array];

function struct(fields: Field[]): Uint8Array {
  let last = 0;
  const parts = fields.map(([id, type, value]) => {
    const delta = id - last;
    last = id;
    const bytes = value instanceof Uint8Array ? value : varint(zigzag(value));
    return Buffer.concat([Uint8Array.of((delta << 4) | type), bytes]);
  });
  return Buffer.concat([...parts, Uint8Array.of(0)]);
}

const listOf = (type: number, items: Uint8Array[]) =>
  Buffer.concat([
    items.length < 15
      ? Uint8Array.of((items.length << 4) | type)
      : Buffer.concat([Uint8Array.of(0xf0 | type), varint(BigInt(items.length))]),
    ...items,
  ]);
const text = (value: string) => Buffer.concat([varint(BigInt(value.length)), Buffer.from(value)]);
const zigzag = (value: number | bigint) => {
  const big = BigInt(value);
  return big < 0n ? -2n * big - 1n : 2n * big;
};

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}
