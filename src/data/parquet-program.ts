// The entry of the thread that reads a Parquet file: answers each `next` with some rows.
import { parentPort, workerData } from 'node:worker_threads';
import { readParquet } from './parquet-file.ts';
import type { ParquetJob, ParquetMessage } from './parquet-messages.ts';

/** Rows of one answer: enough to keep both threads busy. */
const rowsAtOnce = 1024;
/** No answer grows further than by one row from here. */
const bytesAtOnce = 4 << 20;

const { path, limit } = workerData as ParquetJob;
const post = (message: ParquetMessage) => parentPort?.postMessage(message);
const rows = readParquet(path, limit);

parentPort?.on('message', async () => {
  try {
    const taken: unknown[] = [];
    for (let bytes = 0; taken.length < rowsAtOnce && bytes < bytesAtOnce; ) {
      const { value, done } = await rows.next();
      if (done) return post({ rows: taken, last: true });
      taken.push(value.row);
      bytes += value.bytes;
    }
    post({ rows: taken, last: false });
  } catch (error) {
    post({ problem: (error as Error).message });
  }
});
