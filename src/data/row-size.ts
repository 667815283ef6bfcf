// The size of a decoded row, and the bound on it.

/** What a row may have at most: a long book has a few million bytes, and a file that is no JSON lines has no line feeds. */
export const mostRowMebibytes = 16;
export const mostRowBytes = mostRowMebibytes << 20;

/** How much more rows may come to than the packed files that hold them: text is packed to a third or a tenth, only repetition to less. */
export const mostExpansion = 200;

/** What is no text takes as much room as a number. */
const otherBytes = 8;

/**
 * How many bytes a decoded row comes to where every text in it is a copy, as it is for each row on its way to another thread; a
 * file may name one text again and again.
 * @param levels how deep lists and mappings may stand in each other
 * @returns a number over `mostRowBytes` as soon as there are more; infinity where there are more levels
 */
export function rowBytes(value: unknown, levels = Number.POSITIVE_INFINITY): number {
  if (typeof value === 'string') return value.length > mostRowBytes ? value.length : Buffer.byteLength(value);
  if (ArrayBuffer.isView(value)) return otherBytes * value.byteLength;
  if (typeof value !== 'object' || value === null) return otherBytes;
  if (levels === 0) return Number.POSITIVE_INFINITY;
  let bytes = otherBytes;
  const keyed = !Array.isArray(value);
  for (const key in value) {
    bytes += (keyed ? key.length : 0) + rowBytes((value as Record<string, unknown>)[key], levels - 1);
    if (bytes > mostRowBytes) break;
  }
  return bytes;
}

/** What a text or a list takes in the heap beside its letters or entries, and what each entry does. */
const heapHeader = 24;
const heapEntry = 8;

/** How many bytes of JavaScript's heap a decoded row takes, about: a text with one letter beyond Latin-1 has two bytes for each. */
export function heapBytes(value: unknown): number {
  if (typeof value === 'string') {
    const isAscii = Buffer.byteLength(value) === value.length;
    return heapHeader + (isAscii ? value.length : 2 * value.length);
  }
  if (typeof value !== 'object' || value === null) return heapEntry;
  return Object.values(value).reduce((sum: number, entry) => sum + heapEntry + heapBytes(entry), heapHeader);
}
