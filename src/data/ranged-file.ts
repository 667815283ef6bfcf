// Random access to an open file, as columnar formats need it.
import { readSync } from 'node:fs';

/** A file that is read at offsets. */
export interface RangedFile {
  readonly size: number;
  /** The bytes from `start` to `end`, or to the file's. */
  read(start: number, end: number): Uint8Array<ArrayBuffer>;
}

/** Whether it is the system's error of reading, and no fault of what was to be read. */
export const isOfSystem = (error: unknown) => (error as NodeJS.ErrnoException).syscall !== undefined;

export function rangedFile({ descriptor, size }: { descriptor: number; size: number }): RangedFile {
  return {
    size,
    read(start, end) {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      let done = 0;
      for (let read = 1; read > 0 && done < bytes.length; done += read)
        read = readSync(descriptor, bytes, done, bytes.length - done, start + done);
      if (done < bytes.length) throw new Error('was cut off while it was read');
      return bytes;
    },
  };
}
