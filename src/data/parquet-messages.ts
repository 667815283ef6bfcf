// The messages between the reader of a Parquet file and the program that decodes it.

/** What the program is asked for, again and again: the file's next rows. */
export interface ParquetJob {
  /** The file, which is handed over open. */
  descriptor: number;
  size: number;
  /** The most rows that will be taken. */
  limit: number;
}

/** Its answer: rows, what is wrong with the file, or the system's error of reading it. */
export type ParquetReply =
  | { rows: unknown[]; last: boolean }
  | { problem: string }
  | { unread: Pick<NodeJS.ErrnoException, 'message' | 'code' | 'syscall'> };
