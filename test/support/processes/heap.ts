/** What something takes of JavaScript's heap, measured on a thread that does nothing else: other tests' garbage is none of it. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, Worker, workerData } from 'node:worker_threads';

/** Runs a module of measurements on a thread of its own. @returns what it says with `measured` */
export async function onItsOwn<T>(module: URL, data: unknown): Promise<T> {
  const worker = new Worker(module, { workerData: data });
  try {
    const [message] = (await once(worker, 'message')) as [T];
    return message;
  } finally {
    await worker.terminate();
  }
}

/** In such a module: what it was given, what the heap holds, and its answer. */
export const given = workerData as unknown;
export const measured = (answer: unknown): void => parentPort?.postMessage(answer);

export async function heapUsed(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let time = 0; time < 3; time++) {
    await new Promise(setImmediate);
    gc();
  }
  return process.memoryUsage().heapUsed;
}
