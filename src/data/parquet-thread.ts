// The entry of the thread that reads a Parquet file: answers each `next` with some rows.
import { parentPort, workerData } from 'node:worker_threads';
import { readParquet } from './parquet-file.ts';
import type { ParquetJob, ParquetMessage } from './parquet-messages.ts';

/** Rows of one answer: enough to keep both threads busy. */
const rowsAtOnce = 1024;

const { path, limit } = workerData as ParquetJob;
const post = (message: ParquetMessage) => parentPort?.postMessage(message);
const rows = readParquet(path, limit);

parentPort?.on('message', async () => {
  try {
    const taken: unknown[] = [];
    while (taken.length < rowsAtOnce) {
      const { value, done } = await rows.next();
      if (done) return post({ rows: taken, last: true });
      taken.push(value);
    }
    post({ rows: taken, last: false });
  } catch (error) {
    post({ problem: (error as Error).message });
  }
});
