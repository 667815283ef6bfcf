// The messages between the reader of a Parquet file and the thread that decodes it.

/** What the thread that reads a Parquet file is given. */
export interface ParquetJob {
  path: string;
  /** The most rows that will be taken. */
  limit: number;
}

/** Its answer to each `next`. */
export type ParquetMessage = { rows: unknown[]; last: boolean } | { problem: string };
