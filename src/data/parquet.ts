// Reading Parquet files from outside, in a process of their own with limits of memory and time.
import { badData, withPath } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import { foreignKind, kindBytes } from '../checkpoint/index.ts';
import { handedOver, type Limits, type Outcome, Subprocess, shareOfMemory } from '../subprocess/index.ts';
import { openFile, type RowsFile, startOf } from './bytes.ts';
import type { ParquetJob, ParquetReply } from './parquet-messages.ts';

/**
 * What a row group may cost before the file is given up: one of a gigabyte, its rows beside it, takes 3 GiB and a fraction of
 * the time.
 */
const usualLimits: Limits = { seconds: 300, memory: shareOfMemory(3 * 2 ** 30) };
/** Of that memory may be JavaScript's heap: rows are, pages and numbers are not. */
const shareOfHeap = 2 / 3;

interface ParquetOptions {
  /** Opens the file: what is decoded is what is open, in whatever process. */
  readonly files: Files;
  /** The most rows that will be taken. */
  readonly limit: number;
  /** Whether the work is no longer wanted: the process is ended at once. */
  readonly cancelled?: (() => boolean) | undefined;
}

/**
 * The rows of a Parquet file, a row group in memory at a time. Columns without a value are left out. The file is decoded in a
 * process of its own: what it claims may be a bomb, which costs that process its memory or its time and nobody else's.
 * @throws OffsiteError BadData with the file when it is damaged, or expands beyond the limits; Cancelled; Error of the system
 */
export async function* parquetRows(
  path: string,
  options: ParquetOptions,
  limits: Limits = usualLimits,
): AsyncGenerator<unknown> {
  const file = openFile(path, options.files);
  try {
    const start = startOf(file, kindBytes);
    if (start.length === 0) return;
    if (!isParquet(start)) throw badData(`${path}: ${foreignKind(start) ?? 'is no Parquet file'}`);
    yield* decoded(file, options, limits);
  } finally {
    file.close();
  }
}

const isParquet = (start: Uint8Array) => String.fromCharCode(...start.subarray(0, 4)) === 'PAR1';

async function* decoded(
  { path, descriptor, size }: RowsFile,
  { limit, cancelled }: ParquetOptions,
  limits: Limits,
): AsyncGenerator<unknown> {
  const decoder = new Subprocess<ParquetJob, ParquetReply>({
    program: new URL('./parquet-program.ts', import.meta.url),
    heapMebibytes: Math.round((shareOfHeap * limits.memory) / 2 ** 20),
    descriptor,
    cancelled,
  });
  try {
    for (;;) {
      const outcome = await decoder.request({ descriptor: handedOver, size, limit }, limits);
      if (!('reply' in outcome)) throw problemOf(path, outcome, limits);
      const { reply } = outcome;
      if ('unread' in reply) throw withPath(Object.assign(new Error(), reply.unread), path);
      if ('problem' in reply) throw badData(`${path}: ${reply.problem}`);
      yield* reply.rows;
      if (reply.last) return;
    }
  } finally {
    decoder.close();
  }
}

/** Killed from outside it may work another time; what it costs by itself it will cost again. */
function problemOf(path: string, outcome: Outcome<never>, { seconds, memory }: Limits): Error {
  if ('killed' in outcome)
    return new Error(`${path}: the process that reads it was killed; it may need more memory`);
  if ('failed' in outcome) return new Error(`${path}: the process that reads it failed: ${outcome.failed}`);
  if ('exceeded' in outcome && outcome.exceeded === 'time')
    return badData(
      `${path}: a row group takes more than ${seconds} s of computing; the file is damaged, or write it with smaller row groups`,
    );
  // A heap that is full beyond rescue ends the process by itself.
  return badData(
    `${path}: a row group takes more than ${Math.round(memory / 2 ** 20)} MiB of memory; the file is damaged, or write it with smaller row groups`,
  );
}
