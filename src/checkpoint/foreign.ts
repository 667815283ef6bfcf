// Magic bytes: what a file is that could not be read as what it should be.

/** Starts of files that people have in the place of another, and what to do about each. */
const kinds: readonly (readonly [start: string, is: string])[] = [
  [
    'version https://git-lfs.github.com/spec/',
    'is a Git LFS pointer, not the file itself; fetch the files with git lfs pull',
  ],
  ['\x1f\x8b', 'is compressed with gzip; unpack it'],
  ['\x28\xb5\x2f\xfd', 'is compressed with zstd; unpack it'],
  ['BZh', 'is compressed with bzip2; unpack it'],
  ['\xfd7zXZ\0', 'is compressed with xz; unpack it'],
  ['PK\x03\x04', "is a zip archive (PyTorch's .bin and .pt files are such too); unpack or convert it"],
  ['7z\xbc\xaf\x27\x1c', 'is a 7z archive; unpack it'],
  ['\x89HDF', 'is an HDF5 file; convert it to safetensors'],
  ['\x80\x02', 'is a Python pickle, which could run code; convert it to safetensors'],
  ['GGUF', 'is a GGUF file; its name must end in .gguf'],
  ['PAR1', 'is a Parquet file; its name must end in .parquet'],
  ['PARE', 'is an encrypted Parquet file; decrypt it'],
  ['\xff\xfe', 'is UTF-16 text; save it as UTF-8'],
  ['\xfe\xff', 'is UTF-16 text; save it as UTF-8'],
  ['<!DOCTYPE', 'is an HTML page, as a server sends it in the place of a file'],
  ['<!doctype', 'is an HTML page, as a server sends it in the place of a file'],
  ['<html', 'is an HTML page, as a server sends it in the place of a file'],
];

/** How many first bytes `foreignKind` looks at. */
export const kindBytes = Math.max(...kinds.map(([start]) => start.length));

/** What a file that could not be read as it should is, by its first bytes; undefined where they say nothing. */
export function foreignKind(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.subarray(0, kindBytes)).toString('latin1');
  return kinds.find(([known]) => start.startsWith(known))?.[1];
}
