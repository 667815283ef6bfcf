// A PNG encoder for palette images, with the same bytes on every machine.
import { crc32, deflateSync } from 'node:zlib';

/**
 * A PNG as a data: address, one pixel an entry of `rows`, each an index into the palette.
 * @param palette up to 256 colours as [red, green, blue], each 0 to 255
 */
export function palettePng(
  rows: readonly Uint8Array[],
  palette: readonly [number, number, number][],
): string {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, rows[0]?.length ?? 0);
  header.setUint32(4, rows.length);
  header.setUint8(8, 8); // bits a pixel
  header.setUint8(9, 3); // pixels index the palette
  const scanlines = Buffer.concat(rows.map((row) => Buffer.from([0, ...row]))); // 0: no filter
  const png = Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', Buffer.from(header.buffer)),
    chunk('PLTE', Buffer.from(palette.flat())),
    // Stored, not compressed: deflate's output depends on the processor, and the page shall not.
    chunk('IDAT', deflateSync(scanlines, { level: 0 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
  return `data:image/png;base64,${png.toString('base64')}`;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
