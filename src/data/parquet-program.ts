// The program that reads a Parquet file: answers each question with some more of its rows.
import { parentPort } from 'node:worker_threads';
import { readParquet, type SizedRow } from './parquet-file.ts';
import type { ParquetJob, ParquetReply } from './parquet-messages.ts';
import { isOfSystem, rangedFile } from './ranged-file.ts';

/** Rows of one answer: enough to keep both processes busy. */
const rowsAtOnce = 1024;
/** No answer grows further than by one row from here. */
const bytesAtOnce = 4 << 20;

let rows: AsyncGenerator<SizedRow> | undefined;

parentPort?.on('message', async (job: ParquetJob) => {
  rows ??= readParquet(rangedFile(job), job.limit);
  parentPort?.postMessage(await next(rows));
});

async function next(rows: AsyncGenerator<SizedRow>): Promise<ParquetReply> {
  try {
    const taken: unknown[] = [];
    for (let bytes = 0; taken.length < rowsAtOnce && bytes < bytesAtOnce; ) {
      const { value, done } = await rows.next();
      if (done) return { rows: taken, last: true };
      taken.push(value.row);
      bytes += value.bytes;
    }
    return { rows: taken, last: false };
  } catch (error) {
    const { message, code, syscall } = error as NodeJS.ErrnoException;
    return isOfSystem(error) ? { unread: { message, code, syscall } } : { problem: message };
  }
}
