// Reading Parquet files from outside, isolated in a worker thread with limits of memory and time.
import { Worker } from 'node:worker_threads';
import { badData } from '../api/index.ts';
import { foreignKind, kindBytes } from '../checkpoint/index.ts';
import { startOf } from './bytes.ts';
import type { ParquetJob, ParquetMessage } from './parquet-messages.ts';

/** What a row group may cost before the file is given up. */
export interface ParquetLimits {
  /** MiB of rows, as they are in memory. */
  readonly heapMebibytes: number;
  /** Between two answers; a row group of a gigabyte takes a fraction of it. */
  readonly seconds: number;
}

const usualLimits: ParquetLimits = { heapMebibytes: 2048, seconds: 300 };

/**
 * The rows of a Parquet file, a row group in memory at a time. Columns without a value are left out. The file is decoded on a
 * thread of its own: what it claims may be a bomb, which costs that thread its memory or its time and nobody else's.
 * @throws OffsiteError BadData with the file when it is damaged, or expands beyond the limits
 */
export async function* parquetRows(
  path: string,
  limit: number,
  limits: ParquetLimits = usualLimits,
): AsyncGenerator<unknown> {
  const start = startOf(path, kindBytes);
  if (start.length === 0) return;
  if (!isParquet(start)) throw badData(`${path}: ${foreignKind(start) ?? 'is no Parquet file'}`);
  const thread = new Worker(new URL('./parquet-thread.ts', import.meta.url), {
    workerData: { path, limit } satisfies ParquetJob,
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMebibytes },
  });
  const answers = new Answers(thread, path, limits);
  try {
    for (;;) {
      const answer = await answers.next();
      if ('problem' in answer) throw badData(`${path}: ${answer.problem}`);
      yield* answer.rows;
      if (answer.last) return;
    }
  } finally {
    await thread.terminate();
  }
}

const isParquet = (start: Uint8Array) => String.fromCharCode(...start.subarray(0, 4)) === 'PAR1';

/** What the thread says, one answer for each question, so that no more rows are read than are taken. */
class Answers {
  readonly #thread: Worker;
  readonly #path: string;
  readonly #limits: ParquetLimits;
  #settle: ((answer: ParquetMessage | Error) => void) | undefined;

  constructor(thread: Worker, path: string, limits: ParquetLimits) {
    this.#thread = thread;
    this.#path = path;
    this.#limits = limits;
    thread.on('message', (message: ParquetMessage) => this.#settle?.(message));
    thread.on('error', (error: NodeJS.ErrnoException) => this.#settle?.(this.#why(error)));
    thread.on('exit', () => this.#settle?.(new Error(`${path}: the thread that reads it ended`)));
  }

  async next(): Promise<ParquetMessage> {
    const { seconds } = this.#limits;
    let timer: NodeJS.Timeout | undefined;
    const answer = await new Promise<ParquetMessage | Error>((resolve) => {
      this.#settle = resolve;
      timer = setTimeout(() => {
        resolve(
          badData(
            `${this.#path}: a row group takes more than ${seconds} s to read; the file is damaged, or write it with smaller row groups`,
          ),
        );
      }, seconds * 1000);
      this.#thread.postMessage('next');
    });
    clearTimeout(timer);
    this.#settle = undefined;
    if (answer instanceof Error) throw answer;
    return answer;
  }

  #why(error: NodeJS.ErrnoException): Error {
    if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
    return badData(
      `${this.#path}: a row group takes more than ${this.#limits.heapMebibytes} MiB of memory; the file is damaged, or write it with smaller row groups`,
    );
  }
}
