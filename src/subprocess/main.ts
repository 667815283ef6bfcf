// The process in which a program computes on what came from outside. This thread only watches: it ends the process where a
// request takes too long or too much memory, wherever that lies, and where whoever started it is gone.
import { Worker } from 'node:worker_threads';
import type { Message, Order } from './messages.ts';

const everyMilliseconds = 50;
const [program = '', heapMebibytes] = process.argv.slice(2);

const end = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', end);
// A terminal tells a whole group of its signals; this process ends with the one that started it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const worker = new Worker(new URL(program), {
  resourceLimits: { maxOldGenerationSizeMb: Number(heapMebibytes), stackSizeMb: 4 },
});
let watch: NodeJS.Timeout | undefined;

process.on('message', ({ request, limits }: Order) => {
  const before = process.cpuUsage();
  watch = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    if (user + system > limits.seconds * 1e6) endWith({ exceeded: 'time' });
    else if (process.memoryUsage.rss() > limits.memory) endWith({ exceeded: 'memory' });
  }, everyMilliseconds);
  worker.postMessage(request);
});
worker.on('message', (reply: unknown) => {
  clearInterval(watch);
  process.send?.({ reply } satisfies Message<unknown>);
});
worker.on('error', (error: NodeJS.ErrnoException) => {
  const full = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  endWith(full ? { exceeded: 'memory' } : { failed: error.message });
});

// An answer that is nested too deep for this thread's stack is none: without a word its end would be waited for.
worker.on('messageerror', () => endWith({ failed: 'its answer cannot be taken' }));

function endWith(message: Message<never>): void {
  clearInterval(watch);
  process.send?.(message, end);
}
