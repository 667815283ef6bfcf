// Archives as tar reads them (POSIX ustar), with no times and no owners, so that equal files give equal bytes.

export interface Entry {
  /** Its path in the archive; at most 255 characters. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Whether it can be executed. */
  readonly program?: boolean;
}

const block = 512;

/** What stands behind the last entry. */
export const endOfTar = Buffer.alloc(2 * block);

/** The entries, without the archive's end: more may follow. */
export const tarOf = (entries: readonly Entry[]): Buffer =>
  Buffer.concat(
    entries.flatMap((entry) => [
      headerOf(entry),
      entry.bytes,
      Buffer.alloc((block - (entry.bytes.length % block)) % block),
    ]),
  );

function headerOf({ name, bytes, program = false }: Entry): Buffer {
  const header = Buffer.alloc(block);
  const [folder, last] = split(name);
  header.write(last, 0);
  header.write(program ? '0000755\0' : '0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  // The checksum is taken with spaces in its own place.
  header.write('        0ustar\x0000', 148);
  header.write(folder, 345);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** A path in two, where it is longer than the first field. */
function split(name: string): [folder: string, last: string] {
  if (Buffer.byteLength(name) <= 100) return ['', name];
  const at = name.indexOf('/', name.length - 101);
  if (at < 0 || at > 155) throw new Error(`${name} is too long for an archive`);
  return [name.slice(0, at), name.slice(at + 1)];
}
